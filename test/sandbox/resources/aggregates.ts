import { DAY, stamp } from '../clock.ts';
import type { Context, Reply } from '../context.ts';
import { resource, single } from '../context.ts';
import { invalidBody, notFound } from '../errors.ts';
import type { Condition, FilterFields } from '../filter.ts';
import { parseFilter, satisfies } from '../filter.ts';
import type { Json, JsonObject } from '../json.ts';
import { AGGREGATE_DIMENSIONS } from '../schemas/words.ts';
import type { Fact } from '../statistics.ts';
import { facts } from '../statistics.ts';
import type { Interval } from '../zones.ts';
import { floorTo, isZone, offsetAt, shift } from '../zones.ts';

type Measurement = 'count' | 'sum_value' | 'unique';
interface AggregateBody {
  data: {
    attributes: {
      metric_id: string;
      measurements: Measurement[];
      interval?: Interval | null;
      by?: string[] | null;
      filter: string[];
      timezone?: string | null;
      page_size?: number | null;
      page_cursor?: string;
      sort?: string;
    };
  };
}

interface Bucket {
  count: number;
  value: number;
  people: Set<number | string>;
}

const AT = '/data/attributes';
const FIELDS: FilterFields = {
  datetime: { type: 'datetime', operators: ['greater-or-equal', 'less-than'] },
  ...Object.fromEntries(
    AGGREGATE_DIMENSIONS.map(([, name]) => [
      name,
      { type: 'string', operators: ['equals', 'any', 'contains'] } as const,
    ]),
  ),
};

/** Counts events of one metric by time and by one property: event time, not send time; buckets are told in UTC. */
export function metricAggregate(context: Context): Reply {
  const { account } = context;
  const wanted = (context.body as AggregateBody).data.attributes;
  if (account.metrics.get(wanted.metric_id) === undefined) throw notFound('metric', wanted.metric_id);
  // Recorded: a sort in the body failed.
  if (wanted.sort !== undefined) throw invalidBody("'sort' is not supported for this query.", `${AT}/sort`);
  const pageSize = wanted.page_size ?? 500;
  if (pageSize < 500) throw invalidBody('page_size must be at least 500.', `${AT}/page_size`);
  const zone = wanted.timezone ?? 'UTC';
  if (!isZone(zone)) throw invalidBody(`'${zone}' is not a valid timezone.`, `${AT}/timezone`);
  const { from, to, others } = readRange(wanted.filter, zone);
  const dates = bucketStarts(from, to, wanted.interval ?? 'day', zone);
  const by = wanted.by ?? [];
  const groups = collect(context, wanted.metric_id, { from, to, others, dates, by });
  if (by.length === 0 && groups.size === 0) groups.set('[]', new Map());
  const ordered = [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
  const start = wanted.page_cursor === undefined ? 0 : Number(Buffer.from(wanted.page_cursor, 'base64').toString());
  if (!Number.isInteger(start) || start < 0)
    throw invalidBody('The page cursor is invalid or has expired.', `${AT}/page_cursor`);
  const data = ordered.slice(start, start + pageSize).map(([key, buckets]): JsonObject => ({
    dimensions: JSON.parse(key) as Json,
    measurements: Object.fromEntries(
      wanted.measurements.map((name) => [name, dates.map((_, at) => measure(buckets.get(at), name))]),
    ),
  }));
  const attributes: JsonObject = { dates: dates.map(stamp), data };
  const document = single(
    context,
    resource(context, 'metric-aggregate', account.ids.uuid(), 'metric-aggregates', attributes),
  );
  if (start + pageSize < ordered.length) {
    const next = `${context.origin}${context.path}?page_cursor=${encodeURIComponent(Buffer.from(String(start + pageSize)).toString('base64'))}`;
    document.links = { ...(document.links as JsonObject | undefined), next };
  }
  return { status: 200, document };
}

function measure(bucket: Bucket | undefined, name: Measurement): number {
  switch (name) {
    case 'count':
      return bucket?.count ?? 0;
    case 'unique':
      return bucket?.people.size ?? 0;
    case 'sum_value':
      return Math.round((bucket?.value ?? 0) * 100) / 100;
  }
}

/** The window and the further conditions of the filter list; both bounds are needed, at most a year apart. */
function readRange(filters: readonly string[], zone: string): { from: number; to: number; others: Condition[] } {
  const conditions: Condition[] = [];
  for (const filter of filters) {
    try {
      const naive = !/(Z|[+-]\d{2}:?\d{2})\s*\)\s*$/.test(filter);
      for (const condition of parseFilter(filter, FIELDS)) {
        const [value] = condition.values;
        const local = condition.field === 'datetime' && naive && typeof value === 'number';
        conditions.push(local ? { ...condition, values: [value - offsetAt(value, zone)] } : condition);
      }
    } catch {
      throw invalidBody(`Invalid filter: ${filter.slice(0, 200)}`, `${AT}/filter`);
    }
  }
  const bound = (operator: string) => {
    const found = conditions.find((condition) => condition.field === 'datetime' && condition.operator === operator)
      ?.values[0];
    if (typeof found !== 'number')
      throw invalidBody('filter must hold greater-or-equal and less-than on datetime.', `${AT}/filter`);
    return found;
  };
  const [from, to] = [bound('greater-or-equal'), bound('less-than')];
  if (to <= from || to - from > 366 * DAY)
    throw invalidBody('The range must be positive and at most one year.', `${AT}/filter`);
  return { from, to, others: conditions.filter(({ field }) => field !== 'datetime') };
}

function bucketStarts(from: number, to: number, interval: Interval, zone: string): number[] {
  const starts: number[] = [];
  for (let at = floorTo(from, interval, zone); at < to; at = shift(at, interval, 1, zone)) starts.push(at);
  return starts;
}

interface Question {
  from: number;
  to: number;
  others: Condition[];
  dates: number[];
  by: string[];
}

function collect(context: Context, metricId: string, question: Question): Map<string, Map<number, Bucket>> {
  const groups = new Map<string, Map<number, Bucket>>();
  for (const fact of facts(context.account, question.from, question.to)) {
    if (fact.metricId !== metricId) continue;
    if (!question.others.every((condition) => satisfies(condition, fact.property(condition.field) ?? ''))) continue;
    const key = JSON.stringify(question.by.map((name) => dimension(fact, name)));
    let buckets = groups.get(key);
    if (buckets === undefined) groups.set(key, (buckets = new Map()));
    const at = bucketOf(question.dates, fact.time);
    let bucket = buckets.get(at);
    if (bucket === undefined) buckets.set(at, (bucket = { count: 0, value: 0, people: new Set() }));
    bucket.count += 1;
    bucket.people.add(fact.person);
    const value = fact.property('$value');
    if (typeof value === 'number') bucket.value += value;
  }
  return groups;
}

/** The value of a property as a dimension; events without it count under the empty one. */
function dimension(fact: Fact, name: string): string {
  const value = fact.property(name);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function bucketOf(dates: readonly number[], time: number): number {
  let [low, high] = [0, dates.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((dates[middle] as number) <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
