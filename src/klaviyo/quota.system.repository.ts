import { Injectable } from '@nestjs/common';
import type { QuotaBucket } from './quota';
import { QuotaDatabase } from './quota-database';
import { QuotaLedger, type BucketUse, type Taken, type Wanted } from './quota-ledger';
import { NOW, OTHERS_SECONDS, PACE, RING } from './quota-expressions';
import { QuotaTakingSystemRepository } from './quota-taking.system.repository';
import { FIGURES, valuesOf } from './quota-row';

/** What of the steady rate is left when a 429 found the minute used up; it never falls below the last one. */
const MOST_LOST = 0.4;
const MARGIN = 0.98;
const SLOWEST = 0.1;
/** Rows nobody used for that long go, with what Klaviyo said of their limits. Longer than a day is counted. */
const QUIET_SECONDS = 172_800;

/** Klaviyo's counters in PostgreSQL: shared by all replicas, all connections and all users of an account. */
@Injectable()
export class QuotaSystemRepository extends QuotaLedger {
  private sweptAt = 0;
  private readonly taking: QuotaTakingSystemRepository;

  constructor(private readonly database: QuotaDatabase) {
    super();
    this.taking = new QuotaTakingSystemRepository(database);
  }

  override take(accountId: string, buckets: readonly string[], wanted: Wanted): Promise<Taken | undefined> {
    return this.taking.take(accountId, buckets, wanted);
  }

  override async open(accountId: string, buckets: readonly QuotaBucket[], share: number): Promise<void> {
    for (const { name, limits } of buckets)
      await this.database.run(
        'quota-open',
        `INSERT INTO klaviyo_quota (account_id, bucket, share, burst, steady, daily, ${FIGURES.join(', ')})
         VALUES ($1, $2, $3, $4, $5, $6, ${FIGURES.map((_, index) => `$${String(index + 7)}`).join(', ')})
         ON CONFLICT DO NOTHING`,
        [accountId, name, share, ...valuesOf(limits, share)],
      );
    await this.sweep();
  }

  /**
   * The calls that count at the moment go on counting. A limit that sinks leaves nothing of the room at first: what was
   * done under the higher one may be more than it.
   */
  override async adopt(accountId: string, bucket: QuotaBucket, share: number, learned: boolean): Promise<void> {
    await this.database.run(
      'quota-adopt',
      `UPDATE klaviyo_quota SET learned = $4, share = $3, burst = $5, steady = $6, daily = $7,
         ${FIGURES.map((name, index) => `${name} = $${String(index + 8)}`).join(', ')},
         steady_tat = now + CASE WHEN $6 < steady THEN $9 ELSE greatest(0, steady_tat - now) / steady_gap END * $8,
         burst_tat = now + CASE WHEN $5 < burst THEN $12 ELSE greatest(0, burst_tat - now) / burst_gap END * $11
       FROM (SELECT ${NOW} AS now) clock WHERE account_id = $1 AND bucket = $2`,
      [accountId, bucket.name, share, learned, ...valuesOf(bucket.limits, share)],
    );
  }

  /**
   * Where others use the minute too, it is over `seconds` before its end: had we and they gone on evenly, the limit S
   * would have lasted 60 - seconds. So what is left for us is our pace less `seconds / (60 - seconds)` of S. Of several
   * counters the strictest is taken to be the one; a longer pause is a day's, and no matter of pace.
   */
  override async block(accountId: string, buckets: readonly string[], seconds: number): Promise<void> {
    await this.database.run(
      'quota-block',
      `WITH held AS MATERIALIZED (
         SELECT * FROM klaviyo_quota WHERE account_id = $1 AND bucket = ANY($2::text[]) ORDER BY bucket FOR UPDATE
       ), clock AS MATERIALIZED (
         SELECT min(steady) AS strictest, ${NOW} AS now FROM held
       ), next AS (
         SELECT bucket, now, greatest(blocked_until, now + $3::float8) AS blocked_until,
           blocked_until <= now AND $3 <= 60 AND steady = strictest AS paces,
           greatest(${SLOWEST}, ${MARGIN} * greatest(${MOST_LOST} * ${PACE}, ${PACE} - $3 / greatest(1, 60 - $3))) AS pace
         FROM held CROSS JOIN clock
       )
       UPDATE klaviyo_quota q SET blocked_until = n.blocked_until,
         pace = CASE WHEN paces THEN n.pace ELSE q.pace END, paced_at = CASE WHEN paces THEN now ELSE q.paced_at END
       FROM next n WHERE q.account_id = $1 AND q.bucket = n.bucket`,
      [accountId, buckets, seconds],
    );
  }

  override async seeOthers(accountId: string, bucket: string, calls: number): Promise<void> {
    await this.database.run(
      'quota-others',
      `WITH clock AS (SELECT ${NOW} AS now)
       UPDATE klaviyo_quota SET others_at = now,
         others = greatest($3, others * greatest(0, 1 - greatest(0, now - others_at) / ${OTHERS_SECONDS}))
       FROM clock WHERE account_id = $1 AND bucket = $2`,
      [accountId, bucket, calls],
    );
  }

  override async use(accountId: string): Promise<BucketUse[]> {
    const rows = await this.database.run<
      Omit<BucketUse, 'limits'> & { burst: number; steady: number; daily: number | null }
    >(
      'quota-use',
      `SELECT bucket AS name, burst, steady, daily, share, ${PACE} AS pace,
         (SELECT coalesce(sum(n), 0) FROM ${RING})::int AS day,
         others * greatest(0, 1 - greatest(0, now - others_at) / ${OTHERS_SECONDS}) AS others,
         greatest(0, blocked_until - now) AS held
       FROM klaviyo_quota CROSS JOIN (SELECT ${NOW} AS now) clock WHERE account_id = $1`,
      [accountId],
    );
    return rows.map(({ burst, steady, daily, ...rest }) => ({
      ...rest,
      limits: { burst, steady, daily: daily ?? undefined },
    }));
  }

  /** Now and then, while new accounts come. */
  private async sweep(): Promise<void> {
    if (Date.now() - this.sweptAt < 3_600_000) return;
    this.sweptAt = Date.now();
    await this.database.run(
      'quota-sweep',
      `DELETE FROM klaviyo_quota WHERE greatest(steady_tat, blocked_until) < ${NOW} - ${QUIET_SECONDS} AND second > 0`,
      [],
    );
  }
}
