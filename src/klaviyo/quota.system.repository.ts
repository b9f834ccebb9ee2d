import { Injectable } from '@nestjs/common';
import { OPEN_SECONDS, PROBE_SECONDS } from './circuit.system.repository';
import type { QuotaBucket } from './quota';
import { QuotaDatabase } from './quota-database';
import { QuotaLedger, type BucketUse, type Taken, type Wanted } from './quota-ledger';
import { FIGURES, takenOf, valuesOf, type QuotaRow } from './quota-row';

/** What of the steady rate is left when a 429 found the minute used up; it never falls below the last one. */
const MOST_LOST = 0.4;
const MARGIN = 0.98;
const SLOWEST = 0.1;
/** Seconds for which it is remembered that others use the burst. */
const OTHERS_SECONDS = 60;
/** Rows nobody used for that long go, with what Klaviyo said of their limits. Longer than a day is counted. */
const QUIET_SECONDS = 172_800;

const NOW = `extract(epoch FROM clock_timestamp())::float8`;
/** It comes back slowly at first, then faster: looking for room beside another integration costs few 429s. */
const PACE = `least(1, pace + 0.01 * power(greatest(0, now - paced_at) / pace_scale, 2))`;
const HOUR = `floor(now / 3600)::bigint`;
/** The hour that a place of the ring stands for; a later one than the last write still holds what was there a round ago. */
const HOUR_OF = `(${HOUR} - mod(${HOUR} - place + 1, 25))`;
const RING = `unnest(hours) WITH ORDINALITY AS ring(n, place) WHERE ${HOUR_OF} <= hour`;

/** What is left of the day, and the first hour that counts. */
const DAYS = `CASE WHEN daily_room IS NOT NULL THEN daily_room - (SELECT coalesce(sum(n), 0) FROM ${RING}) END AS day_left,
    CASE WHEN daily_room IS NOT NULL THEN (SELECT min(${HOUR_OF}) FROM ${RING} AND n > 0) END AS first_hour`;
/** The ring, with what was taken now. */
const HOURS = `CASE WHEN c.daily_room IS NOT NULL THEN (
      SELECT array_agg(CASE WHEN ${HOUR_OF} <= c.hour THEN coalesce(c.hours[place], 0) ELSE 0 END
        + CASE WHEN ${HOUR_OF} = ${HOUR} THEN n ELSE 0 END ORDER BY place) FROM generate_series(1, 25) AS place) END`;

/**
 * An arrival time that counts now. None can be further away than a full room takes; twice as far, the clock jumped back
 * (another server after a failover), and counting begins anew rather than wait for the old time.
 */
const arrival = (column: string, full: string): string => `CASE WHEN ${column} > now + 2 * ${full} + 1 THEN now
      ELSE least(greatest(${column}, now), now + ${full}) END`;

/**
 * One statement: holds the counters in the order of their names, so that two replicas cannot wait for each other, reads
 * the clock once they are held, gives as many calls as every one of them allows, and writes them down.
 */
const take = (counts: 'days' | 'no days'): string => `
WITH held AS MATERIALIZED (
  SELECT * FROM klaviyo_quota WHERE account_id = $1 AND bucket = ANY($2::text[])
    ${counts === 'days' ? '' : 'AND daily_room IS NULL'} ORDER BY bucket FOR UPDATE
), clock AS MATERIALIZED (
  SELECT count(*) AS buckets, ${NOW} AS now FROM held
), circuit AS MATERIALIZED (
  SELECT greatest(least(open_until - now, ${OPEN_SECONDS}), least(probe_until - now, ${PROBE_SECONDS})) AS open_for
  FROM klaviyo_circuit c CROSS JOIN clock WHERE c.account_id = $1 FOR UPDATE OF c
), paced AS MATERIALIZED (
  SELECT *, steady_gap / ${PACE} AS gap,
    greatest(1, burst_room - others * greatest(0, 1 - greatest(0, now - others_at) / ${OTHERS_SECONDS})) AS room,
    ${counts === 'days' ? DAYS : 'NULL::float8 AS day_left, NULL::bigint AS first_hour'}
  FROM held CROSS JOIN clock
), counted AS MATERIALIZED (
  SELECT *, ${arrival('steady_tat', 'steady_room * gap')} AS steady_at,
    ${arrival('burst_tat', 'burst_room * burst_gap')} AS burst_at,
    room - greatest(1, room - burst_keep) AS burst_kept
  FROM paced
), free AS (
  SELECT CASE WHEN blocked_until > now THEN 0 ELSE floor(least(steady_room - (steady_at - now) / gap,
      room - (burst_at - now) / burst_gap, day_left) + 1e-6) END AS interactive,
    CASE WHEN blocked_until > now THEN 0 ELSE floor(least(steady_room - steady_keep - (steady_at - now) / gap,
      room - burst_kept - (burst_at - now) / burst_gap, day_left - daily_keep) + 1e-6) END AS background
  FROM counted
), least_free AS (
  SELECT min(interactive) AS interactive, min(background) AS background,
    CASE WHEN (SELECT buckets FROM clock) < cardinality($2::text[]) THEN 0
      WHEN NOT EXISTS (SELECT FROM circuit) THEN 2147483647
      WHEN (SELECT open_for FROM circuit) > 0 THEN 0 ELSE 1 END AS most
  FROM free
), first AS (
  SELECT greatest(0, least($3::int, interactive, most)) AS interactive, background, most FROM least_free
), given AS MATERIALIZED (
  SELECT interactive::int AS interactive,
    greatest(0, least($4::int, background - interactive, most - interactive))::int AS background FROM first
), written AS (
  UPDATE klaviyo_quota q SET
    steady_tat = steady_at + n * gap,
    burst_tat = burst_at + n * c.burst_gap,
    second = floor(now), hour = greatest(c.hour, ${HOUR}),
    second_used = n + CASE WHEN c.second = floor(now) THEN c.second_used ELSE 0 END,
    second_before = CASE c.second WHEN floor(now) THEN c.second_before WHEN floor(now) - 1 THEN c.second_used ELSE 0 END,
    hours = ${counts === 'days' ? HOURS : 'NULL'}
  FROM counted c CROSS JOIN (SELECT interactive + background AS n FROM given) g
  WHERE q.account_id = $1 AND q.bucket = c.bucket AND n > 0
  RETURNING q.bucket, q.second_used + q.second_before AS recent
), probed AS (
  UPDATE klaviyo_circuit SET probe_until = (SELECT now FROM clock) + ${PROBE_SECONDS}
  WHERE account_id = $1 AND (SELECT interactive + background > 0 FROM given)
)
SELECT c.bucket, c.burst, c.steady, c.daily, c.learned, c.share, g.interactive, g.background,
  (SELECT open_for FROM circuit) AS "openFor", coalesce(w.recent, 0) AS recent, (SELECT buckets FROM clock)::int AS rows,
  steady_at + (g.interactive + g.background) * gap - now - (steady_room - 1) * gap AS "steadyWait", gap AS "steadyGap",
  steady_keep AS "steadyKept",
  burst_at + (g.interactive + g.background) * c.burst_gap - now - (room - 1) * c.burst_gap AS "burstWait",
  c.burst_gap AS "burstGap", burst_kept AS "burstKept", greatest(0, blocked_until - now) AS blocked,
  day_left - g.interactive - g.background AS "dayLeft", daily_keep AS "dayKept",
  (coalesce(first_hour, ${HOUR}) + 25) * 3600 - now AS "dayWait"
FROM counted c CROSS JOIN given g LEFT JOIN written w USING (bucket)`;
/** Few endpoints have a day to count. */
const TAKE = take('no days');
const TAKE_OF_DAY = take('days');

/**
 * The ordinary case in a statement a third as long (0.1 ms rather than 0.3): all that is wanted fits one counter that
 * has neither a day nor others to mind, of an account that is well. Anything else changes no row, and is for TAKE.
 */
const TAKE_EASILY = `
UPDATE klaviyo_quota SET
  steady_tat = greatest(steady_tat, now) + $3 * steady_gap, burst_tat = greatest(burst_tat, now) + $3 * burst_gap,
  second = floor(now), hour = greatest(hour, ${HOUR}),
  second_used = $3 + CASE WHEN second = floor(now) THEN second_used ELSE 0 END,
  second_before = CASE second WHEN floor(now) THEN second_before WHEN floor(now) - 1 THEN second_used ELSE 0 END
FROM (SELECT ${NOW} AS now OFFSET 0) clock
WHERE account_id = $1 AND bucket = $2 AND blocked_until <= now AND daily_room IS NULL
  AND $3::int <= steady_room - greatest(0, steady_tat - now) / steady_gap + 1e-6
  AND $3::int <= burst_room - greatest(0, burst_tat - now) / burst_gap + 1e-6
  AND (pace >= 1 OR now - paced_at > 10 * pace_scale) AND (others = 0 OR now - others_at > ${OTHERS_SECONDS})
  AND NOT EXISTS (SELECT FROM klaviyo_circuit c WHERE c.account_id = $1)
RETURNING bucket, burst, steady, daily, learned, share, $3::int AS interactive, 0 AS background,
  NULL::float8 AS "openFor", second_used + second_before AS recent, 1 AS rows,
  steady_tat - now - (steady_room - 1) * steady_gap AS "steadyWait", steady_gap AS "steadyGap",
  steady_keep AS "steadyKept", burst_tat - now - (burst_room - 1) * burst_gap AS "burstWait", burst_gap AS "burstGap",
  burst_room - greatest(1, burst_room - burst_keep) AS "burstKept", 0 AS blocked, NULL::float8 AS "dayLeft",
  daily_keep AS "dayKept", 0 AS "dayWait"`;

/** Klaviyo's counters in PostgreSQL: shared by all replicas, all connections and all users of an account. */
@Injectable()
export class QuotaSystemRepository extends QuotaLedger {
  private sweptAt = 0;
  /** Counters that were found to count a day, for some account. */
  private readonly daily = new Set<string>();

  constructor(private readonly database: QuotaDatabase) {
    super();
  }

  override async take(accountId: string, buckets: readonly string[], wanted: Wanted): Promise<Taken | undefined> {
    const [only, more] = buckets;
    if (wanted.background === 0 && wanted.interactive > 0 && more === undefined) {
      const easy = await this.database.run<QuotaRow>('quota-easy', TAKE_EASILY, [accountId, only, wanted.interactive]);
      if (easy[0] !== undefined) return takenOf(easy);
    }
    const params = [accountId, buckets, wanted.interactive, wanted.background];
    const whole = (rows: QuotaRow[]): boolean => rows[0] !== undefined && rows[0].rows === buckets.length;
    let rows: QuotaRow[] = [];
    if (!buckets.some((bucket) => this.daily.has(bucket))) rows = await this.database.run('quota-take', TAKE, params);
    if (!whole(rows)) {
      rows = await this.database.run('quota-take-day', TAKE_OF_DAY, params);
      for (const { bucket, daily } of rows) if (daily !== null) this.daily.add(bucket);
    }
    return whole(rows) ? takenOf(rows) : undefined;
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
