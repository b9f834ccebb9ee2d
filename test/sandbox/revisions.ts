import { gone, invalidParameter, notFoundText } from './errors.ts';

/** Klaviyo's stable revisions known here, oldest first. A revision lives two years (one stable, one deprecated). */
export const REVISIONS = [
  '2022-09-07',
  '2022-10-17',
  '2023-01-24',
  '2023-02-22',
  '2023-06-15',
  '2023-07-15',
  '2023-09-15',
  '2023-10-15',
  '2023-12-15',
  '2024-02-15',
  '2024-05-15',
  '2024-06-15',
  '2024-07-15',
  '2024-10-15',
  '2025-01-15',
  '2025-04-15',
  '2025-07-15',
  '2025-10-15',
  '2026-01-15',
  '2026-04-15',
  '2026-07-15',
] as const;

/** The newest revision this sandbox can play. */
export const NEWEST = '2026-07-15';

/** The day a revision stops being served under its own name. */
export function retirementOf(revision: string): number {
  return Date.parse(`${String(Number(revision.slice(0, 4)) + 2)}${revision.slice(4)}T00:00:00Z`);
}

/** The oldest revision still served at an instant; the newest one never retires here. */
export function oldestLive(now: number): string {
  return REVISIONS.find((revision) => retirementOf(revision) > now) ?? NEWEST;
}

export interface RevisionRules {
  /** Undocumented: what a missing header does. `error` answers 400, `oldest` serves the oldest live revision. */
  missing: 'error' | 'oldest';
  /** Undocumented today: a date that names no revision. `error` answers 400, `prior` maps to the latest one before it. */
  unknown: 'error' | 'prior';
  /** Serves retired revisions under their own behaviour, as Klaviyo did while they lived. Off: today's server. */
  timeMachine: boolean;
}

export const DEFAULT_REVISION_RULES: RevisionRules = { missing: 'error', unknown: 'error', timeMachine: false };

/** The revision whose behaviour answers, from the header that was sent; throws Klaviyo's refusal. */
export function effectiveRevision(
  header: string | undefined,
  optOut: boolean,
  now: number,
  rules: RevisionRules,
): string {
  const live = oldestLive(now);
  if (header === undefined || header === '') {
    if (rules.missing === 'oldest') return live;
    throw invalidParameter('A revision header is required. Please provide a valid revision string.', 'revision');
  }
  if (!/^\d{4}-\d{2}-\d{2}$/.test(header))
    throw invalidParameter(`${header} is not a valid revision string.`, 'revision');
  let revision = (REVISIONS as readonly string[]).includes(header) ? header : undefined;
  if (revision === undefined || Date.parse(header) > now) {
    if (header > NEWEST || Date.parse(header) > now)
      throw invalidParameter(`${header} is not yet a valid revision string`, 'revision');
    if (rules.unknown === 'error') throw invalidParameter(`${header} is not a valid revision string.`, 'revision');
    revision = REVISIONS.filter((known) => known <= header).at(-1);
    if (revision === undefined) throw notFoundText('Revision date requested is before the earliest available');
  }
  if (retirementOf(revision) > now || rules.timeMachine) return revision;
  if (optOut) throw gone(`Revision ${header} has been retired.`);
  return live > revision ? live : revision;
}
