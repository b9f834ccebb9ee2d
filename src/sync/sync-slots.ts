/**
 * The times at which a connection is synchronised, as SQL. Each connection has a place of its own within the interval,
 * the same on every replica and after every restart, so that tenants do not start together and times do not drift.
 */

/** Within that time after connecting the first run begins. */
const FIRST_WITHIN_SECONDS = 60;
const DAY_MINUTES = 1440;

/** A number that is the connection's own. @param connection a uuid */
function own(connection: string): string {
  return `(hashtextextended((${connection})::text, 0) & 2147483647)`;
}

/** The connection's next time not before `earliest`. @param minutes of the interval; above 0 */
function slot(connection: string, earliest: string, minutes: string): string {
  const seconds = `((${minutes}) * 60)::bigint`;
  const place = `mod(${own(connection)}, ${seconds})`;
  return `to_timestamp(ceil((extract(epoch FROM ${earliest}) - ${place}) / ${seconds}) * ${seconds} + ${place})`;
}

/** Minutes between the runs of a schedule `s`, with the service's own in parameter `standard`; 0: none. */
export function minutesOf(standard: string): string {
  return `coalesce(s.interval_minutes, ${standard}::integer)`;
}

/** Soon, and not with all the others. @param from when the connection was made, or now */
export function soon(connection: string, from: string): string {
  return `(${from} + make_interval(secs => mod(${own(connection)}, ${FIRST_WITHIN_SECONDS})))`;
}

/** The next run from now on. @param minutes of the interval; above 0 */
export function nextRun(connection: string, minutes: string): string {
  return slot(connection, 'now()', minutes);
}

/** The run after one that begins now: a first one, outside its place, is not followed at once. */
export function runAfter(connection: string, minutes: string): string {
  return slot(connection, `now() + make_interval(mins => (${minutes})) / 4`, minutes);
}

/** When the next run in full is due after one that begins now: once a day. */
export function fullAfter(connection: string): string {
  return slot(connection, `now() + interval '12 hours'`, String(DAY_MINUTES));
}
