import type { Account } from '../account.ts';
import { DAY } from '../clock.ts';
import type { Context, Reply } from '../context.ts';
import { address } from '../context.ts';
import { invalidBody } from '../errors.ts';
import type { Condition, FilterFields } from '../filter.ts';
import { parseFilter, parseInstant, satisfies } from '../filter.ts';
import type { JsonObject } from '../json.ts';
import type { Tallies, Tally } from '../statistics.ts';
import { tallies } from '../statistics.ts';
import type { CampaignRow, MessageRow } from '../store/rows.ts';
import type { Interval } from '../zones.ts';
import { floorTo, offsetAt, shift } from '../zones.ts';

interface ReportBody {
  data: {
    attributes: {
      statistics: string[];
      timeframe: { key: string } | { start: string; end: string };
      conversion_metric_id: string;
      group_by?: string[] | null;
      filter?: string | null;
    };
  };
}

const AT = '/data/attributes';
const SCALAR = { type: 'string', operators: ['equals', 'contains-any'] } as const;
const TAGS = { type: 'string', operators: ['contains-any', 'contains-all'] } as const;
const FIELDS: FilterFields = {
  send_channel: SCALAR,
  campaign_id: SCALAR,
  campaign_message_id: SCALAR,
  campaign_message_name: SCALAR,
  tag_id: TAGS,
  tag_name: TAGS,
};
const CHANNELS = { email: 'email', sms: 'sms', mobile_push: 'push-notification' } as const;
const LIST_LIMIT = 100;

/** Statistics of the campaigns that were sent within a timeframe, by campaign and message; rates are fractions. */
export function campaignValues(context: Context): Reply {
  const { account, now } = context;
  const wanted = (context.body as ReportBody).data.attributes;
  if (account.metrics.get(wanted.conversion_metric_id) === undefined)
    throw invalidBody('The conversion metric does not exist.', `${AT}/conversion_metric_id`);
  if (context.query.extra.has('page_cursor') && context.query.extra.get('page_cursor') !== '')
    throw invalidBody('The page cursor is invalid or has expired.', 'page_cursor');
  const groupBy = wanted.group_by ?? ['campaign_id', 'campaign_message_id', 'send_channel'];
  checkGroups(groupBy);
  const conditions = readConditions(wanted.filter ?? null);
  const [from, to] = timeframe(wanted.timeframe, account.timezone, now);
  const counted = tallies(account, wanted.conversion_metric_id);
  const results: JsonObject[] = [];
  for (const campaign of account.campaigns.written()) {
    if (campaign.sent === null || campaign.sent < from || campaign.sent >= to) continue;
    for (const message of campaign.messages) {
      const groupings = groupingsOf(account, campaign, message);
      if (!conditions.every((condition) => satisfies(condition, groupings[condition.field]))) continue;
      const figures = statistics(account, counted, campaign, message, wanted.conversion_metric_id);
      results.push({
        groupings: Object.fromEntries(groupBy.map((name) => [name, scalar(groupings[name])])),
        statistics: Object.fromEntries(wanted.statistics.map((name) => [name, figures[name] ?? 0])),
      });
    }
  }
  const data = { type: 'campaign-values-report', id: account.ids.uuid(), attributes: { results } };
  return { status: 200, document: { data, links: { self: address(context), next: null, prev: null } } };
}

function scalar(value: unknown): string {
  return typeof value === 'string' ? value : Array.isArray(value) ? value.join(',') : '';
}

function checkGroups(groupBy: readonly string[]): void {
  for (const needed of ['campaign_id', 'campaign_message_id'])
    if (!groupBy.includes(needed)) throw invalidBody(`group_by must contain ${needed}.`, `${AT}/group_by`);
}

function readConditions(filter: string | null): Condition[] {
  if (filter === null || filter === '') return [];
  let conditions: Condition[];
  try {
    conditions = parseFilter(filter, FIELDS);
  } catch {
    throw invalidBody(`Invalid filter: ${filter.slice(0, 200)}`, `${AT}/filter`);
  }
  const names = conditions.map(({ field }) => field);
  if (new Set(names).size !== names.length)
    throw invalidBody('Only one filter per attribute is allowed.', `${AT}/filter`);
  if (conditions.some(({ values }) => values.length > LIST_LIMIT))
    throw invalidBody(`A filter may list at most ${LIST_LIMIT} values.`, `${AT}/filter`);
  return conditions;
}

function groupingsOf(account: Account, campaign: CampaignRow, message: MessageRow): Record<string, string | string[]> {
  return {
    send_channel: CHANNELS[campaign.channel],
    campaign_id: campaign.id,
    campaign_message_id: message.id,
    campaign_message_name: message.label,
    tag_id: campaign.tagIds,
    tag_name: campaign.tagIds.map((id) => account.tags.get(id)?.name ?? ''),
  };
}

const NONE: Tally = { count: 0, people: new Set(), value: 0 };

/** All figures of one message, from the events that name it or its campaign. */
function statistics(
  account: Account,
  counted: Tallies,
  campaign: CampaignRow,
  message: MessageRow,
  conversionMetricId: string,
): Record<string, number> {
  const key = account.switches.messageDimension === 'message' ? message.id : campaign.id;
  const metrics = counted.get(key);
  const idOf = new Map(
    [...account.metrics.written()].map((metric) => [`${metric.integration.key}:${metric.name}`, metric.id]),
  );
  const own = (name: string) => metrics?.get(idOf.get(`klaviyo:${name}`) ?? '') ?? NONE;
  const sms = campaign.channel === 'sms';
  const received = own(sms ? 'Received SMS' : campaign.channel === 'email' ? 'Received Email' : 'Received Push');
  const opened = sms ? NONE : own(campaign.channel === 'email' ? 'Opened Email' : 'Opened Push');
  const clicked = own(sms ? 'Clicked SMS' : 'Clicked Email');
  const bounced = sms ? NONE : own(campaign.channel === 'email' ? 'Bounced Email' : 'Bounced Push');
  const failed = sms ? own('Failed to Deliver SMS') : NONE;
  const unsubscribed = own(sms ? 'Unsubscribed from SMS Marketing' : 'Unsubscribed from Email Marketing');
  const spam = own('Marked Email as Spam');
  const converted = metrics?.get(conversionMetricId) ?? NONE;
  const delivered = received.count;
  const recipients = delivered + bounced.count + failed.count;
  const rate = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  const value = Math.round(converted.value * 100) / 100;
  return {
    recipients,
    delivered,
    delivery_rate: rate(delivered, recipients),
    opens: opened.count,
    opens_unique: opened.people.size,
    open_rate: rate(opened.people.size, delivered),
    clicks: clicked.count,
    clicks_unique: clicked.people.size,
    click_rate: rate(clicked.people.size, delivered),
    click_to_open_rate: rate(clicked.people.size, opened.people.size),
    bounced: bounced.count,
    bounce_rate: rate(bounced.count, recipients),
    failed: failed.count,
    failed_rate: rate(failed.count, recipients),
    bounced_or_failed: bounced.count + failed.count,
    bounced_or_failed_rate: rate(bounced.count + failed.count, recipients),
    unsubscribes: unsubscribed.count,
    unsubscribe_uniques: unsubscribed.people.size,
    unsubscribe_rate: rate(unsubscribed.people.size, delivered),
    spam_complaints: spam.count,
    spam_complaint_rate: rate(spam.count, delivered),
    conversions: converted.count,
    conversion_uniques: converted.people.size,
    conversion_rate: rate(converted.people.size, delivered),
    conversion_value: value,
    average_order_value: rate(value, converted.count),
    revenue_per_recipient: rate(value, delivered),
  };
}

/** A timeframe as two instants in the company's timezone; offsets of given bounds are ignored, as at Klaviyo. */
function timeframe(
  wanted: { key: string } | { start: string; end: string },
  zone: string,
  now: number,
): [number, number] {
  if ('start' in wanted) {
    const local = (text: string) => {
      const wall = parseInstant(text.replace(/(Z|[+-]\d{2}:?\d{2})$/, ''));
      return wall - offsetAt(wall, zone);
    };
    const [from, to] = [local(wanted.start), local(wanted.end)];
    if (to <= from || to - from > 366 * DAY)
      throw invalidBody('The timeframe must be positive and at most one year.', `${AT}/timeframe`);
    return [from, to];
  }
  const day = floorTo(now, 'day', zone);
  const since = (interval: Interval, back: number): [number, number] => [shift(day, interval, -back, zone), now];
  const whole = (interval: Interval, back: number): [number, number] => {
    const start = floorTo(now, interval, zone);
    return [shift(start, interval, -back, zone), back === 0 ? now : start];
  };
  switch (wanted.key) {
    case 'today':
      return whole('day', 0);
    case 'yesterday':
      return whole('day', 1);
    case 'this_week':
      return whole('week', 0);
    case 'last_week':
      return whole('week', 1);
    case 'this_month':
      return whole('month', 0);
    case 'last_month':
      return whole('month', 1);
    case 'this_year':
      return whole('year', 0);
    case 'last_year':
      return whole('year', 1);
    case 'last_7_days':
      return since('day', 7);
    case 'last_30_days':
      return since('day', 30);
    case 'last_90_days':
      return since('day', 90);
    case 'last_3_months':
      return since('month', 3);
    case 'last_12_months':
      return since('month', 12);
    default:
      return since('day', 365);
  }
}
