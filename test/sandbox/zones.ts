import { DAY, HOUR } from './clock.ts';

/** Calendar arithmetic in an account's timezone, for buckets and timeframes. */

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  return format;
}

/** Whether the zone is one that the runtime knows (IANA). */
export function isZone(zone: string): boolean {
  try {
    formatOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** Milliseconds that the zone's wall clock is ahead of UTC at an instant. */
export function offsetAt(ms: number, zone: string): number {
  const parts = Object.fromEntries(
    formatOf(zone)
      .formatToParts(ms)
      .map(({ type, value }) => [type, Number(value)]),
  ) as Record<string, number>;
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000;
}

/** The instant of a wall-clock time (given as if it were UTC) in the zone. */
export function fromWall(wall: number, zone: string): number {
  const guess = wall - offsetAt(wall, zone);
  return wall - offsetAt(guess, zone);
}

export type Interval = 'hour' | 'day' | 'week' | 'month' | 'year';

/** Start of the bucket that holds an instant; weeks begin on Monday. */
export function floorTo(ms: number, interval: Interval, zone: string): number {
  const wall = ms + offsetAt(ms, zone);
  if (interval === 'hour') return fromWall(Math.floor(wall / HOUR) * HOUR, zone);
  const day = Math.floor(wall / DAY) * DAY;
  if (interval === 'day') return fromWall(day, zone);
  const date = new Date(day);
  if (interval === 'week') return fromWall(day - ((date.getUTCDay() + 6) % 7) * DAY, zone);
  return fromWall(Date.UTC(date.getUTCFullYear(), interval === 'month' ? date.getUTCMonth() : 0, 1), zone);
}

/** The same place so many intervals later (or, negative, earlier). */
export function shift(ms: number, interval: Interval, by: number, zone: string): number {
  const wall = ms + offsetAt(ms, zone);
  switch (interval) {
    case 'hour':
      return ms + by * HOUR;
    case 'day':
      return fromWall(wall + by * DAY, zone);
    case 'week':
      return fromWall(wall + by * 7 * DAY, zone);
    case 'month':
    case 'year': {
      const date = new Date(wall);
      date.setUTCMonth(date.getUTCMonth() + (interval === 'month' ? by : 12 * by));
      return fromWall(date.getTime(), zone);
    }
  }
}
