import { REVISIONS } from '../config/env';

/** Klaviyo's stable revisions from the oldest that may still answer: a retired header is served by the oldest live one. */
const STABLE = [
  '2025-01-15',
  '2025-04-15',
  '2025-07-15',
  '2025-10-15',
  '2026-01-15',
  '2026-04-15',
  '2026-07-15',
] as const;

/** A revision lives two years: one stable, one deprecated. */
export function retiresAt(revision: string): number {
  const date = new Date(`${revision}T00:00:00Z`);
  date.setUTCFullYear(date.getUTCFullYear() + 2);
  return date.getTime();
}

/** As what Klaviyo answers a call under `sent`: itself while it lives, else the oldest live revision. */
export function servedAs(sent: string, now: number): string {
  if (now < retiresAt(sent)) return sent;
  return STABLE.find((revision) => revision > sent && now < retiresAt(revision)) ?? STABLE[STABLE.length - 1] ?? sent;
}

/**
 * The revision to send a call under: the base, or where the base is too old to know the operation or field, the
 * oldest live revision that this service was checked against and that has it.
 * @param needed the first revision that has everything the call uses
 * @throws Error when no checked revision has it: a fault in this program
 */
export function revisionToSend(base: string, needed: string, now: number): string {
  if (needed <= base) return base;
  const able = REVISIONS.filter((revision) => needed <= revision);
  const chosen = able.find((revision) => now < retiresAt(revision)) ?? able.at(-1);
  if (chosen === undefined) throw new Error(`no checked Klaviyo revision has what ${needed} brought`);
  return chosen;
}
