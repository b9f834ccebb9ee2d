import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoCall } from '../klaviyo/klaviyo.client';
import { TopicsKlaviyo, type TopicMetric } from './topics.klaviyo';

/** What an account offers. */
export interface Offer {
  /** Why Klaviyo sends this account's events to nobody; null where it does. */
  withoutPush: 'KLAVIYO_PLAN_REQUIRED' | 'KLAVIYO_SCOPE_MISSING' | null;
  /** Sorted. */
  topics: readonly string[];
}

type Waits = Pick<KlaviyoCall, 'priority' | 'deadline'>;

interface Kept<T> {
  at: number;
  value: Promise<T>;
}

/** Klaviyo gives 15 answers a minute: one of ours serves this long. */
const KEEP_MS = 5 * 60_000;
/** What somebody misses may be new: Klaviyo is asked again once the answer is this old. */
const DOUBT_MS = 20_000;
const MOST = 1000;

/** The topics of accounts, asked for at most every few minutes. */
@Injectable()
export class Topics {
  private readonly offers = new Map<string, Kept<Offer>>();
  private readonly metricLists = new Map<string, Kept<readonly TopicMetric[]>>();

  constructor(
    private readonly clock: Clock,
    private readonly connections: ConnectionService,
    private readonly atKlaviyo: TopicsKlaviyo,
  ) {}

  /** @param needed topics without which the answer is not believed to be fresh */
  async of(connection: Connection, needed: readonly string[] = [], waits: Waits = {}): Promise<Offer> {
    const offer = await this.kept(this.offers, connection, KEEP_MS, () => this.ask(connection, waits));
    if (needed.every((topic) => offer.topics.includes(topic))) return offer;
    return this.kept(this.offers, connection, DOUBT_MS, () => this.ask(connection, waits));
  }

  /**
   * The metrics behind topics; those that Klaviyo does not know any more are left out.
   * @param maxAge milliseconds; 0 asks Klaviyo whatever is remembered
   */
  async metricsOf(
    connection: Connection,
    topics: readonly string[] | 'all',
    waits: Waits = {},
    maxAge = KEEP_MS,
  ): Promise<TopicMetric[]> {
    const all = await this.metrics(connection, waits, maxAge);
    if (topics === 'all') return [...all];
    const wanted = new Set(topics);
    return all.filter(({ topic }) => wanted.has(topic));
  }

  private metrics(connection: Connection, waits: Waits, maxAge = KEEP_MS): Promise<readonly TopicMetric[]> {
    return this.kept(this.metricLists, connection, maxAge, async () =>
      this.atKlaviyo.metrics(await this.connections.accessOf(connection), waits),
    );
  }

  private async ask(connection: Connection, waits: Waits): Promise<Offer> {
    const access = await this.connections.accessOf(connection);
    try {
      const topics = await this.atKlaviyo.topics(access, waits);
      return { withoutPush: null, topics: [...new Set(topics)].sort() };
    } catch (error) {
      const code = error instanceof AppError ? error.code : undefined;
      if (code !== 'KLAVIYO_PLAN_REQUIRED' && code !== 'KLAVIYO_SCOPE_MISSING') throw error;
      const metrics = await this.metrics(connection, waits);
      return { withoutPush: code, topics: [...new Set(metrics.map(({ topic }) => topic))].sort() };
    }
  }

  private async kept<T>(
    store: Map<string, Kept<T>>,
    connection: Connection,
    maxAge: number,
    ask: () => Promise<T>,
  ): Promise<T> {
    const name = `${connection.userId} ${connection.id} ${connection.keyVersion}`;
    const known = store.get(name);
    if (known && this.clock.now() - known.at < maxAge) return known.value;
    const oldest = store.size >= MOST ? store.keys().next().value : undefined;
    if (oldest !== undefined) store.delete(oldest);
    const entry: Kept<T> = { at: this.clock.now(), value: ask() };
    store.delete(name);
    store.set(name, entry);
    try {
      return await entry.value;
    } catch (error) {
      if (store.get(name) === entry) store.delete(name);
      throw error;
    }
  }
}
