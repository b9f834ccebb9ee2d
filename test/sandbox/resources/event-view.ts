import type { Account } from '../account.ts';
import { stamp } from '../clock.ts';
import type { Context } from '../context.ts';
import { relation, resource } from '../context.ts';
import type { JsonObject } from '../json.ts';
import type { EventRow } from '../store/rows.ts';
import { metricResource } from './metrics.ts';
import { profileResource } from './profile-view.ts';

/** The profile that an event belongs to now: merges moved it. */
export function ownerOf(account: Account, row: EventRow): string {
  return account.profiles.current(row.profileId) ?? row.profileId;
}

export function eventResource(context: Context, row: EventRow): JsonObject {
  const { account, query, revision } = context;
  const owner = `events/${row.id}`;
  const told = account.switches.eventRelationshipData;
  const data = (name: string, id: string) => (told || query.include.has(name) ? { type: name, id } : undefined);
  return resource(
    context,
    'event',
    row.id,
    'events',
    { timestamp: row.time / 1000, event_properties: row.properties, datetime: stamp(row.time), uuid: row.uuid },
    {
      profile: relation(context, owner, 'profile', data('profile', ownerOf(account, row))),
      metric: relation(context, owner, 'metric', data('metric', row.metricId)),
      ...(revision >= '2024-02-15'
        ? { attributions: relation(context, owner, 'attributions', query.include.has('attributions') ? [] : undefined) }
        : {}),
    },
  );
}

/** Metrics and profiles that a page of events names, each once. */
export function includedOf(context: Context, rows: readonly EventRow[]): JsonObject[] {
  const { account, query } = context;
  const out: JsonObject[] = [];
  if (query.include.has('metric'))
    for (const id of new Set(rows.map((row) => row.metricId))) {
      const metric = account.metrics.get(id);
      if (metric !== undefined) out.push(metricResource(context, metric));
    }
  if (query.include.has('profile'))
    for (const id of new Set(rows.map((row) => ownerOf(account, row)))) {
      const profile = account.profiles.get(id);
      if (profile !== undefined) out.push(profileResource(context, profile));
    }
  return out;
}
