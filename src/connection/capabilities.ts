export const AREAS = [
  'profiles',
  'lists',
  'segments',
  'campaigns',
  'metrics',
  'events',
  'webhooks',
  'subscriptions',
  'dataPrivacy',
] as const;
export type Area = (typeof AREAS)[number];
export type Capability = 'ok' | 'scope_missing' | 'plan_required' | 'unknown';

/** What the key may do, as far as it was tried. `write` stays `unknown` until a first write. */
export type Capabilities = Record<Area, { read?: Capability; write: Capability }>;

/** Klaviyo has nothing to read in data privacy, so it carries no `read`. */
export function capabilitiesFrom(read: Partial<Record<Area, Capability>>, known?: Capabilities): Capabilities {
  const entries = AREAS.map((area) => {
    const write = known?.[area].write ?? 'unknown';
    return [area, area === 'dataPrivacy' ? { write } : { read: read[area] ?? 'unknown', write }] as const;
  });
  return Object.fromEntries(entries) as Capabilities;
}
