import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import type { Connection } from '../connection/connection.entity';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { isCursorExpired } from '../klaviyo/klaviyo-error';
import { WebhookIntake } from './intake';
import { PollKlaviyo, type ReadEvent } from './poll.klaviyo';
import { PollRepository } from './poll.repository';
import { Topics } from './topics';
import type { TopicMetric } from './topics.klaviyo';
import type { ReadProgress, Webhook } from './webhook.entity';

/** Events of more metrics than these are read all together, and the unwanted ones dropped here. */
const MOST_CHAINS = 4;
const PAGE_MS = 30_000;
/** Longer than a page takes to be read and taken in. */
export const LEASE_SECONDS = 60;
/** Events are to be seen minutes after they happened: each reading looks so far back. */
const LOOK_BACK_MS = 10 * 60_000;
/** Some much later: once a day, so far. */
const LONG_LOOK_BACK_MS = 7 * 86_400_000;
const DAY_MS = 86_400_000;
const MAX_EXPIRED = 3;

/** How a reading ended: all read, not yet, or somebody else reads. */
export type ReadOutcome = { kind: 'done'; progress: ReadProgress } | { kind: 'more' } | { kind: 'lost' };

/** Reads the events of one webhook from Klaviyo, page after page, each page taken in before the next is asked for. */
@Injectable()
export class PollReader {
  constructor(
    private readonly clock: Clock,
    private readonly atKlaviyo: PollKlaviyo,
    private readonly topics: Topics,
    private readonly intake: WebhookIntake,
    private readonly rows: PollRepository,
  ) {}

  /**
   * Goes on where the last reading stopped. What is here already is left out, so that reading twice costs nothing downstream.
   * @param until epoch milliseconds
   * @throws AppError as `KlaviyoClient.pages`
   */
  async read(
    access: KlaviyoAccess,
    connection: Connection,
    webhook: Webhook,
    lease: string,
    until: number,
  ): Promise<ReadOutcome> {
    const held = { id: webhook.id, lease };
    const metrics = new WantedMetrics(this.topics, connection, webhook);
    let progress = webhook.readProgress ?? this.begin(webhook, [...(await metrics.known()).keys()]);
    let expired = 0;
    while (progress.chains.length > 0) {
      if (this.clock.now() >= until) return { kind: 'more' };
      try {
        progress = await this.step(access, webhook, progress, metrics);
      } catch (error) {
        progress = begunAnew(progress, error, ++expired);
      }
      if (!(await this.rows.keep(access.userId, held, progress, LEASE_SECONDS))) return { kind: 'lost' };
    }
    return { kind: 'done', progress };
  }

  private begin(webhook: Webhook, metricIds: readonly string[]): ReadProgress {
    const now = this.clock.now();
    const { readsFrom, readFrom, readUntil, lookedBackAt, delivery } = webhook;
    const deep = delivery === 'poll' && now - lookedBackAt.getTime() > DAY_MS;
    const back = delivery === 'push' ? 0 : deep ? LONG_LOOK_BACK_MS : LOOK_BACK_MS;
    const from = Math.max(readsFrom.getTime(), Math.min(readFrom.getTime(), now) - back);
    const to = delivery === 'push' && readUntil !== null ? Math.min(readUntil.getTime(), now) : now + 1000;
    const single = metricIds.length <= MOST_CHAINS && !webhook.allTopics;
    return {
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      deep,
      chains: single ? [...metricIds] : [null],
      next: null,
      found: 0,
    };
  }

  private async step(
    access: KlaviyoAccess,
    webhook: Webhook,
    progress: ReadProgress,
    metrics: WantedMetrics,
  ): Promise<ReadProgress> {
    const { from, to, chains, next } = progress;
    const window = { from: new Date(from), to: new Date(to), metricId: chains[0] ?? null };
    const page = await this.atKlaviyo.page(access, window, next, this.clock.now() + PAGE_MS);
    const byId = await metrics.of(page.events);
    const found = await this.hand(access, webhook, page.events, byId, Date.parse(from));
    return {
      ...progress,
      found: progress.found + found,
      chains: page.next === null ? chains.slice(1) : chains,
      next: page.next,
    };
  }

  /** @returns how many nobody had brought before */
  private async hand(
    access: KlaviyoAccess,
    webhook: Webhook,
    events: readonly ReadEvent[],
    metrics: ReadonlyMap<string, TopicMetric>,
    from: number,
  ): Promise<number> {
    const { userId, connectionId } = access;
    const wanted = events.flatMap((event) => {
      const metric = event.metricId === null ? undefined : metrics.get(event.metricId);
      // The filter counts whole seconds: what is a fraction older than the webhook is not its own.
      return metric === undefined || event.occurredAt < Math.floor(from / 1000) * 1000 ? [] : [{ event, metric }];
    });
    if (wanted.length === 0) return 0;
    const ids = wanted.map(({ event }) => event.id);
    const known = await this.rows.known(userId, connectionId, ids);
    const fresh = wanted.filter(({ event }) => !known.has(event.id));
    if (fresh.length === 0) return 0;
    const taken = await this.intake.take({
      webhook: { userId, connectionId, id: webhook.id },
      source: webhook.delivery === 'poll' ? 'poll' : 'backfill',
      events: fresh.map(({ event, metric }) => ({
        external_id: event.id,
        topic: metric.topic,
        payload: { data: event.resource },
      })),
    });
    return taken === null ? 0 : taken.received - taken.duplicates;
  }
}

/** The metrics that a webhook wants events of, as a reading goes on. */
class WantedMetrics {
  private metrics: Promise<Map<string, TopicMetric>> | undefined;
  private renewed = false;

  constructor(
    private readonly topics: Topics,
    private readonly connection: Connection,
    private readonly webhook: Webhook,
  ) {}

  known(): Promise<Map<string, TopicMetric>> {
    this.metrics ??= this.ask();
    return this.metrics;
  }

  /** An event of a metric that nobody knows is of one that just began: of all topics, it is wanted, too. */
  async of(events: readonly ReadEvent[]): Promise<Map<string, TopicMetric>> {
    const known = await this.known();
    const isNew = events.some(({ metricId }) => metricId !== null && !known.has(metricId));
    if (!this.webhook.allTopics || !isNew || this.renewed) return known;
    this.renewed = true;
    this.metrics = this.ask(0);
    return this.metrics;
  }

  private async ask(maxAge?: number): Promise<Map<string, TopicMetric>> {
    const wanted = this.webhook.allTopics ? 'all' : this.webhook.topics;
    const metrics = await this.topics.metricsOf(this.connection, wanted, { priority: 'background' }, maxAge);
    return new Map(metrics.map((metric) => [metric.metricId, metric]));
  }
}

/** A cursor that Klaviyo takes no more: the chain again. A metric that may not be filtered by: all metrics in one chain. */
function begunAnew(progress: ReadProgress, error: unknown, times: number): ReadProgress {
  if (times > MAX_EXPIRED) throw error;
  if (isCursorExpired(error)) return { ...progress, next: null };
  const isRefused = error instanceof AppError && error.code === 'KLAVIYO_REJECTED';
  if (!isRefused || progress.chains[0] === null) throw error;
  return { ...progress, chains: [null], next: null };
}
