import type { Account } from './account.ts';
import type { Json } from './json.ts';
import type { EventRow } from './store/rows.ts';

/** One event as the statistics see it. */
export interface Fact {
  time: number;
  metricId: string;
  /** The profile, as a number for generated ones: enough to count people. */
  person: number | string;
  property: (name: string) => Json | undefined;
}

/**
 * Every event between two instants, generated and written, in no promised order: the one source of aggregates and
 * reports, so that the two can be held against each other.
 */
export function* facts(account: Account, from: number, to: number): Generator<Fact> {
  const { events, generatedEvents: generated, profiles } = account;
  const current = (id: string): string | null => profiles.current(id);
  const changedPeople = profiles.gone.size + profiles.merged.size > 0;
  let index = lowerBound(generated.count, (at) => generated.time(at), from);
  for (; index < generated.count && generated.time(index) < to; index += 1) {
    if (events.isHidden(index)) continue;
    const at = index;
    let person: number | string = generated.profileIndex(at);
    if (changedPeople) {
      const id = current(profiles.table.base.id(person));
      if (id === null) continue;
      person = personOf(account, id);
    }
    yield {
      time: generated.time(at),
      metricId: generated.metricId(at),
      person,
      property: (name) => generated.property(at, name),
    };
  }
  for (const row of events.written()) {
    const owner = row.time >= from && row.time < to ? current(row.profileId) : null;
    if (owner !== null) yield factOf(account, row, owner);
  }
}

function factOf(account: Account, row: EventRow, owner: string): Fact {
  return {
    time: row.time,
    metricId: row.metricId,
    person: personOf(account, owner),
    property: (name) => row.properties[name],
  };
}

function personOf(account: Account, id: string): number | string {
  const index = account.profiles.table.base.indexOf(id);
  return index < 0 ? id : index;
}

function lowerBound(count: number, key: (at: number) => number, wanted: number): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (key(middle) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Occurrences, people and value of one metric under one message. */
export interface Tally {
  count: number;
  people: Set<number | string>;
  value: number;
}

/** Tallies by message (`$message`, or `$attributed_message` for the conversion metric) and metric id. */
export type Tallies = Map<string, Map<string, Tally>>;

const cache = new WeakMap<Account, { key: string; tallies: Tallies }>();

/** Everything ever counted under any message; kept until an event or a profile's fate changes. */
export function tallies(account: Account, conversionMetricId: string): Tallies {
  const key = `${conversionMetricId}|${account.events.version}|${account.profiles.gone.size}|${account.profiles.merged.size}`;
  const known = cache.get(account);
  if (known?.key === key) return known.tallies;
  const out: Tallies = new Map();
  for (const fact of facts(account, -Infinity, Infinity)) {
    const message = fact.property(fact.metricId === conversionMetricId ? '$attributed_message' : '$message');
    if (typeof message !== 'string') continue;
    let metrics = out.get(message);
    if (metrics === undefined) out.set(message, (metrics = new Map()));
    let tally = metrics.get(fact.metricId);
    if (tally === undefined) metrics.set(fact.metricId, (tally = { count: 0, people: new Set(), value: 0 }));
    tally.count += 1;
    tally.people.add(fact.person);
    const value = fact.property('$value');
    if (typeof value === 'number') tally.value += value;
  }
  cache.set(account, { key, tallies: out });
  return out;
}
