/** The stretch of send dates that one report covers; at most a year, as Klaviyo demands. */
export interface ReportWindow {
  /** `recent`, or a calendar year such as `2024`: the same window is always named the same. */
  name: string;
  /** How old its figures may be before it is asked for again, in milliseconds. */
  freshMs: number;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** A day less than a year, so that no leap day or change of clocks makes it longer than Klaviyo allows. */
const RECENT_MS = 364 * DAY;
/** The last 364 days. */
export const RECENT: ReportWindow = { name: 'recent', freshMs: 10 * MINUTE };
/** Old campaigns are hardly opened any more, and an account has 225 reports a day. */
const YEAR_FRESH_MS = DAY;

/**
 * The windows that cover campaigns sent at these moments, newest first: the last 364 days in one, older ones by
 * calendar year of the account.
 * @param sentAt epoch milliseconds
 */
export function windowsFor(sentAt: readonly number[], now: number, timezone: string | null): ReportWindow[] {
  const names = new Set(sentAt.map((moment) => windowOf(moment, now, timezone)));
  return [...names].sort().reverse().map(windowNamed);
}

/** A window by its name. */
export function windowNamed(name: string): ReportWindow {
  return name === RECENT.name ? RECENT : { name, freshMs: YEAR_FRESH_MS };
}

/**
 * First and last instant of a window as Klaviyo's reports take them: wall-clock time of the account (an offset is
 * ignored there, so it is always written as +00:00).
 */
export function timeframeOf(
  window: ReportWindow,
  now: number,
  timezone: string | null,
): { start: string; end: string } {
  if (window.name === RECENT.name) return { start: wall(now - RECENT_MS, timezone), end: wall(now, timezone) };
  const end = `${window.name}-12-31T23:59:59+00:00`;
  const today = wall(now, timezone);
  return { start: `${window.name}-01-01T00:00:00+00:00`, end: today < end ? today : end };
}

function windowOf(moment: number, now: number, timezone: string | null): string {
  // Two hours for a change of clocks in between: near the border the year covers the campaign as well.
  if (moment > now - RECENT_MS + 2 * 60 * MINUTE) return RECENT.name;
  return wall(moment, timezone).slice(0, 4);
}

function wall(moment: number, timezone: string | null): string {
  const parts = new Map(
    clock(timezone)
      .formatToParts(moment)
      .map(({ type, value }) => [type, value]),
  );
  const [year, month, day, hour, minute, second] = ['year', 'month', 'day', 'hour', 'minute', 'second'].map((part) =>
    (parts.get(part as Intl.DateTimeFormatPartTypes) ?? '').padStart(2, '0'),
  );
  return `${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}+00:00`;
}

/** Making one takes longer than using it a hundred times; there are some hundred timezones. */
const clocks = new Map<string | null, Intl.DateTimeFormat>();

function clock(timezone: string | null): Intl.DateTimeFormat {
  const known = clocks.get(timezone);
  if (known) return known;
  const made = makeClock(timezone);
  // What is no timezone is not kept: there is no end of those.
  if (made) clocks.set(timezone, made);
  return made ?? clock(null);
}

/** Undefined for a timezone that this runtime does not know: then UTC has to do, a few hours at a window's border. */
function makeClock(timezone: string | null): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone: timezone ?? 'UTC',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
  } catch {
    return undefined;
  }
}
