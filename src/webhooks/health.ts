import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { HealthAlerts } from './health-alerts';
import { PollJob } from './poll.job';
import { PollRepository } from './poll.repository';
import { Topics } from './topics';
import type { Webhook } from './webhook.entity';
import { WebhooksKlaviyo, type RemoteWebhook, type WebhookChange } from './webhooks.klaviyo';
import { WebhooksRepository } from './webhooks.repository';
import { WebhooksService } from './webhooks.service';
import { WebhooksSystemRepository, type DueCheck } from './webhooks.system.repository';

/** Between two looks at a webhook; webhooks of one turn. */
const EVERY_SECONDS = 600;
const AT_ONCE = 100;
const PATIENCE_MS = 20_000;
/** Without a delivery for that long, Klaviyo is asked whether there was nothing; again after that long. */
const SILENCE_MS = 30 * 60_000;
const ASK_AGAIN_MS = 60 * 60_000;
/** Klaviyo may take so long to send an event: a younger one is not missing yet. */
const ON_ITS_WAY_MS = 20 * 60_000;
/** Nobody has looked for that long: we were away, and may have missed what Klaviyo gave up sending. */
const AWAY_MS = 60 * 60_000;
/** What Klaviyo tried to send before it switched a webhook off: up to 48 hours. */
const TRIED_MS = 49 * 3_600_000;
const MARGIN_MS = 5 * 60_000;

/**
 * Looks whether Klaviyo still sends what it should: switches webhooks on again that it switched off, tells it again what
 * it has otherwise than we do, and has events read that it did not send.
 */
@Injectable()
export class WebhookHealth implements OnModuleInit {
  private readonly logger = new Logger('WebhookHealth');

  constructor(
    private readonly clock: Clock,
    private readonly connections: ConnectionService,
    private readonly service: WebhooksService,
    private readonly topics: Topics,
    private readonly atKlaviyo: WebhooksKlaviyo,
    private readonly webhooks: WebhooksRepository,
    private readonly reading: PollRepository,
    private readonly polls: PollJob,
    private readonly alerts: HealthAlerts,
    private readonly system: WebhooksSystemRepository,
  ) {}

  onModuleInit(): void {
    this.polls.onFilled((connection, webhook, found) => this.filled(connection, webhook, found));
  }

  /** Looks at what is due, of all users, account by account side by side. */
  async turn(): Promise<void> {
    const due = await this.system.claimChecks(EVERY_SECONDS, AT_ONCE);
    const byConnection = Map.groupBy(due, ({ userId, connectionId }) => `${userId} ${connectionId}`);
    await Promise.all([...byConnection.values()].map((checks) => this.checkAll(checks)));
  }

  /** Readings whose job got lost. */
  async planReadings(): Promise<void> {
    for (const { userId, connectionId } of await this.system.dueReadings(1000))
      await this.polls.plan(userId, connectionId, 0);
  }

  private async checkAll(checks: readonly DueCheck[]): Promise<void> {
    const [first] = checks;
    if (!first) return;
    const { userId, connectionId } = first;
    try {
      const connection = await this.connections.resolve({ userId }, connectionId);
      const access = await this.connections.accessOf(connection);
      const rows = await this.webhooks.all(userId, connectionId);
      const wanted = rows.filter(({ id }) => checks.some((check) => check.id === id));
      const pushed = wanted.some(({ delivery }) => delivery === 'push');
      const remotes = pushed ? await this.atKlaviyo.all(access, this.waits()) : [];
      for (const check of checks) {
        const webhook = wanted.find(({ id }) => id === check.id);
        if (webhook) await this.check(access, connection, webhook, check, remotes);
      }
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.logger.warn({ msg: 'webhooks could not be looked at', code: error.code, userId, connectionId });
    }
  }

  private async check(
    access: KlaviyoAccess,
    connection: Connection,
    webhook: Webhook,
    check: DueCheck,
    remotes: readonly RemoteWebhook[],
  ): Promise<void> {
    const current = webhook.enabled ? await this.withAllTopics(connection, webhook) : webhook;
    if (current.klaviyoWebhookId === null) return;
    const remote = remotes.find(({ id }) => id === current.klaviyoWebhookId);
    if (!remote) return this.gone(connection, current);
    if (!current.secretConfirmed) await this.service.tellSecret(connection, current);
    if (!current.enabled) return;
    const change = differenceOf(current, remote);
    if (Object.keys(change).length > 0)
      await this.atKlaviyo.update(access, current.id, remote.id, change, this.waits());
    if (await this.webhooks.setStatus(access.userId, current.id, 'active')) this.alerts.over('gone', current.id);
    if (change.enabled === true) return this.switchedOn(connection, current, check);
    this.alerts.over('off', current.id);
    await this.listen(connection, current, check);
  }

  /** Has events read, where Klaviyo should have sent some and may not have. */
  private async listen(connection: Connection, webhook: Webhook, check: DueCheck): Promise<void> {
    const now = this.clock.now();
    if (check.unseenMs !== null && check.unseenMs > AWAY_MS)
      return this.fill(connection, webhook, now - check.unseenMs - MARGIN_MS, now);
    const heard = Math.max(check.lastReceivedAt?.getTime() ?? 0, webhook.createdAt.getTime());
    if (now - heard < SILENCE_MS) {
      this.alerts.over('silent', webhook.id);
      return;
    }
    const known = Math.max(webhook.readFrom.getTime(), heard);
    if (webhook.readAt === null && now - known > ASK_AGAIN_MS)
      await this.fill(connection, webhook, known - MARGIN_MS, now - ON_ITS_WAY_MS);
  }

  /** Klaviyo switched it off, after errors for two days or because somebody wanted it so there. */
  private async switchedOn(connection: Connection, webhook: Webhook, check: DueCheck): Promise<void> {
    this.alerts.raise('off', connection, webhook);
    const now = this.clock.now();
    const heard = Math.max(check.lastReceivedAt?.getTime() ?? 0, webhook.readFrom.getTime());
    await this.fill(connection, webhook, Math.max(heard - TRIED_MS, webhook.createdAt.getTime()), now);
  }

  private async gone(connection: Connection, webhook: Webhook): Promise<void> {
    await this.webhooks.setStatus(Number(connection.userId), webhook.id, 'error');
    this.alerts.raise('gone', connection, webhook);
  }

  /** Events were missing, so Klaviyo does not send them: it is told to, once more. */
  private async filled(connection: Connection, webhook: Webhook, found: number): Promise<void> {
    if (found === 0 || webhook.klaviyoWebhookId === null) return;
    this.logger.warn({ msg: 'events that Klaviyo had not sent were read', found, webhookId: webhook.id });
    this.alerts.raise('silent', connection, webhook);
    const access = await this.connections.accessOf(connection);
    await this.atKlaviyo.update(access, webhook.id, webhook.klaviyoWebhookId, { enabled: true }, this.waits());
  }

  private async fill(connection: Connection, webhook: Webhook, from: number, until: number): Promise<void> {
    const userId = Number(connection.userId);
    const begin = Math.max(from, webhook.createdAt.getTime());
    if (begin >= until) return;
    await this.reading.fill(userId, webhook.id, new Date(begin), new Date(until));
    await this.polls.plan(userId, connection.id, 0);
  }

  private async withAllTopics(connection: Connection, webhook: Webhook): Promise<Webhook> {
    if (!webhook.allTopics) return webhook;
    const { topics } = await this.topics.of(connection, [], this.waits());
    if (isSame(topics, webhook.topics)) return webhook;
    await this.webhooks.setTopics(Number(connection.userId), webhook.id, topics);
    webhook.topics = [...topics];
    return webhook;
  }

  private waits(): { priority: 'background'; deadline: number } {
    return { priority: 'background', deadline: this.clock.now() + PATIENCE_MS };
  }
}

/** What Klaviyo has otherwise than we want it. */
function differenceOf(webhook: Webhook, remote: RemoteWebhook): WebhookChange {
  return {
    ...(remote.enabled ? {} : { enabled: true }),
    ...(remote.name === webhook.name ? {} : { name: webhook.name }),
    ...(remote.topics === null || isSame(remote.topics, webhook.topics) ? {} : { topics: webhook.topics }),
    ...(remote.ourId === webhook.id ? {} : { description: webhook.description }),
  };
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && new Set([...a, ...b]).size === a.length;
}
