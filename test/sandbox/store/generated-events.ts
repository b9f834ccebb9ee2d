import { DAY, SECOND } from '../clock.ts';
import { eventIdOf, eventIndex, uuidOf } from '../ids.ts';
import type { Json, JsonObject } from '../json.ts';
import { mix } from '../random.ts';
import type { CampaignRow, EventRow, MetricRow } from './rows.ts';
import type { Base, Order } from './table.ts';

/** Shares of the generated metrics, in thousandths. */
const WEIGHTS: readonly (readonly [string, number])[] = [
  ['Received Email', 420],
  ['Opened Email', 200],
  ['Clicked Email', 60],
  ['Bounced Email', 12],
  ['Marked Email as Spam', 2],
  ['Unsubscribed from Email Marketing', 6],
  ['Received SMS', 60],
  ['Clicked SMS', 12],
  ['Placed Order', 58],
  ['Viewed Product', 100],
  ['Added to Cart', 30],
  ['Started Checkout', 20],
  ['Active on Site', 20],
];
const THOUSANDTHS: number[] = WEIGHTS.flatMap(([, weight], index) => Array.from({ length: weight }, () => index));

export interface EventShape {
  seed: number;
  count: number;
  asOf: number;
  days: number;
  profiles: { count: number; id: (index: number) => string };
  metrics: readonly MetricRow[];
  campaigns: readonly CampaignRow[];
  currency: string;
  /** Whether the `$message` property names the campaign or its message (undocumented). */
  messageDimension: 'campaign' | 'message';
}

/** Generated events: time, metric, profile and campaign as functions of (seed, index), in time order. */
export class GeneratedEvents implements Base<EventRow> {
  readonly count: number;
  readonly orders: Record<string, Order>;
  private readonly shape: EventShape;
  private readonly metricIds: string[];
  private readonly sends: Record<'email' | 'sms', CampaignRow[]>;

  constructor(shape: EventShape) {
    this.shape = shape;
    this.count = shape.profiles.count === 0 ? 0 : shape.count;
    const idOf = new Map(shape.metrics.map((metric) => [metric.name, metric.id]));
    this.metricIds = WEIGHTS.map(([name]) => idOf.get(name) ?? '');
    const sent = (channel: string) =>
      shape.campaigns
        .filter((campaign) => campaign.channel === channel && campaign.sent !== null && campaign.status === 'Sent')
        .sort((a, b) => (a.sent ?? 0) - (b.sent ?? 0));
    this.sends = { email: sent('email'), sms: sent('sms') };
    this.orders = { datetime: { at: (p) => p, positionOf: (i) => i, key: (i) => this.time(i) } };
  }

  time(index: number): number {
    const step = (this.shape.days * DAY) / Math.max(this.count, 1);
    return Math.floor((this.shape.asOf - this.shape.days * DAY + index * step) / SECOND) * SECOND;
  }

  id(index: number): string {
    return eventIdOf(this.shape.seed, index);
  }

  indexOf(id: string): number {
    const index = eventIndex(id);
    return index >= 0 && index < this.count && this.id(index) === id ? index : -1;
  }

  /** Position in the table of weights: which metric the event is of. */
  kind(index: number): number {
    return THOUSANDTHS[mix(this.shape.seed, 5, index) % 1000] as number;
  }

  profileIndex(index: number): number {
    return mix(this.shape.seed, 6, index) % this.shape.profiles.count;
  }

  /** The send that an engagement event belongs to, or that an order is attributed to: the last one before it, now and then an older one. */
  campaign(index: number): CampaignRow | null {
    const kind = this.kind(index);
    if (kind > 8) return null;
    const h = mix(this.shape.seed, 8, index);
    if (kind === 8 && h % 2 === 0) return null;
    const sends = this.sends[kind === 6 || kind === 7 ? 'sms' : 'email'];
    const time = this.time(index);
    let [from, to] = [0, sends.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((sends[middle]?.sent ?? 0) <= time) from = middle + 1;
      else to = middle;
    }
    const back = h % 12 === 0 ? 2 : 1;
    return sends[from - back] ?? sends[from - 1] ?? null;
  }

  peek(index: number, field: string): unknown {
    switch (field) {
      case 'datetime':
      case 'timestamp':
        return this.time(index);
      case 'metric_id':
      case 'metric':
        return this.metricId(index);
      case 'profile_id':
      case 'profile':
        return this.shape.profiles.id(this.profileIndex(index));
      case 'id':
        return this.id(index);
      default:
        return undefined;
    }
  }

  row(index: number): EventRow {
    return {
      id: this.id(index),
      uuid: uuidOf(this.shape.seed, index),
      time: this.time(index),
      metricId: this.metricId(index),
      profileId: this.shape.profiles.id(this.profileIndex(index)),
      properties: this.properties(index),
    };
  }

  metricId(index: number): string {
    return this.metricIds[this.kind(index)] as string;
  }

  /** One property without building the others, for the statistics. */
  property(index: number, name: string): Json | undefined {
    const kind = this.kind(index);
    switch (name) {
      case '$message':
        return kind <= 7 ? this.message(index) : undefined;
      case '$attributed_message':
        return kind === 8 ? this.message(index) : undefined;
      case '$value':
        return kind === 8 ? this.value(index) : undefined;
      default:
        return this.properties(index)[name];
    }
  }

  private message(index: number): string | undefined {
    const campaign = this.campaign(index);
    if (campaign === null) return undefined;
    return this.shape.messageDimension === 'message' ? (campaign.messages[0]?.id ?? campaign.id) : campaign.id;
  }

  private value(index: number): number {
    return 5 + (mix(this.shape.seed, 9, index) % 20000) / 100;
  }

  private properties(index: number): JsonObject {
    const kind = this.kind(index);
    const campaign = this.campaign(index);
    const message = this.message(index);
    const id: JsonObject = { $event_id: `gen-${String(index)}` };
    if (kind <= 7) {
      if (campaign === null || message === undefined) return { ...id, $flow: 'Flow01', 'Message Name': 'Welcome' };
      return {
        ...id,
        $message: message,
        'Campaign Name': campaign.name,
        $campaign_channel: campaign.channel,
        Subject: campaign.name,
      };
    }
    const value = this.value(index);
    if (kind === 8) {
      const order: JsonObject = {
        ...id,
        $value: value,
        $value_currency: this.shape.currency,
        OrderId: `G-${String(index)}`,
        ItemNames: ['Thé'],
      };
      return message === undefined ? order : { ...order, $attributed_message: message, $attributed_channel: 'email' };
    }
    return { ...id, ProductName: `Produit ${String(mix(this.shape.seed, 9, index) % 40)}`, Price: value };
  }
}
