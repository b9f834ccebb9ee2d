import { OPEN_SECONDS, PROBE_SECONDS } from './circuit.system.repository';
import type { QuotaDatabase } from './quota-database';
import { HOUR, HOUR_OF, NOW, OTHERS_SECONDS, PACE, RING } from './quota-expressions';
import type { Taken, Wanted } from './quota-ledger';
import { takenOf, type QuotaRow } from './quota-row';

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

/** What background calls may not use of the burst. */
const BURST_KEPT = 'burst_room - greatest(1, burst_room - burst_keep)';
/**
 * The ordinary case in a statement a third as long (0.1 ms rather than 0.3): all that is wanted fits one counter that
 * has neither a day nor others to mind, of an account that is well. Anything else changes no row, and is for TAKE.
 */
const TAKE_EASILY = `
UPDATE klaviyo_quota SET
  steady_tat = greatest(steady_tat, now) + n * steady_gap, burst_tat = greatest(burst_tat, now) + n * burst_gap,
  second = floor(now), hour = greatest(hour, ${HOUR}),
  second_used = n + CASE WHEN second = floor(now) THEN second_used ELSE 0 END,
  second_before = CASE second WHEN floor(now) THEN second_before WHEN floor(now) - 1 THEN second_used ELSE 0 END
FROM (SELECT ${NOW} AS now, $3::int + $4::int AS n OFFSET 0) clock
WHERE account_id = $1 AND bucket = $2 AND blocked_until <= now AND daily_room IS NULL
  AND n <= steady_room - CASE WHEN $4 > 0 THEN steady_keep ELSE 0 END - greatest(0, steady_tat - now) / steady_gap + 1e-6
  AND n <= burst_room - CASE WHEN $4 > 0 THEN ${BURST_KEPT} ELSE 0 END - greatest(0, burst_tat - now) / burst_gap + 1e-6
  AND (pace >= 1 OR now - paced_at > 10 * pace_scale) AND (others = 0 OR now - others_at > ${OTHERS_SECONDS})
  AND NOT EXISTS (SELECT FROM klaviyo_circuit c WHERE c.account_id = $1)
RETURNING bucket, burst, steady, daily, learned, share, $3::int AS interactive, $4::int AS background,
  NULL::float8 AS "openFor", second_used + second_before AS recent, 1 AS rows,
  steady_tat - now - (steady_room - 1) * steady_gap AS "steadyWait", steady_gap AS "steadyGap",
  steady_keep AS "steadyKept", burst_tat - now - (burst_room - 1) * burst_gap AS "burstWait", burst_gap AS "burstGap",
  ${BURST_KEPT} AS "burstKept", 0 AS blocked, NULL::float8 AS "dayLeft", daily_keep AS "dayKept", 0 AS "dayWait"`;

/** Takes calls from Klaviyo's counters: what a call waits for before it goes out. */
export class QuotaTakingSystemRepository {
  /** Counters that were found to count a day, for some account. */
  private readonly daily = new Set<string>();

  constructor(private readonly database: QuotaDatabase) {}

  /** See `QuotaLedger.take`. */
  async take(accountId: string, buckets: readonly string[], wanted: Wanted): Promise<Taken | undefined> {
    const [only, more] = buckets;
    const { interactive, background } = wanted;
    if (interactive + background > 0 && more === undefined) {
      const easy = await this.database.run<QuotaRow>('quota-easy', TAKE_EASILY, [
        accountId,
        only,
        interactive,
        background,
      ]);
      if (easy[0] !== undefined) return takenOf(easy);
    }
    const params = [accountId, buckets, interactive, background];
    const whole = (rows: QuotaRow[]): boolean => rows[0] !== undefined && rows[0].rows === buckets.length;
    let rows: QuotaRow[] = [];
    if (!buckets.some((bucket) => this.daily.has(bucket))) rows = await this.database.run('quota-take', TAKE, params);
    if (!whole(rows)) {
      rows = await this.database.run('quota-take-day', TAKE_OF_DAY, params);
      for (const { bucket, daily } of rows) if (daily !== null) this.daily.add(bucket);
    }
    return whole(rows) ? takenOf(rows) : undefined;
  }
}
