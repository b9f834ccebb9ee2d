import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError, type ErrorCode } from '../common/errors';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { HealthAlerts } from './health-alerts';
import { PollJob } from './poll.job';
import { PollRepository } from './poll.repository';
import { Topics } from './topics';
import type { ReadReason, Webhook } from './webhook.entity';
import { WebhooksKlaviyo, type RemoteWebhook, type WebhookChange } from './webhooks.klaviyo';
import { WebhooksRepository } from './webhooks.repository';
import { WebhooksService } from './webhooks.service';
import { WebhooksSystemRepository, type DueCheck } from './webhooks.system.repository';

/** Between two looks at a webhook; webhooks taken at once, and for how long; time of a turn, which comes every minute. */
const EVERY_SECONDS = 600;
const AT_ONCE = 100;
const LEASE_SECONDS = 300;
const TURN_MS = 45_000;
const PATIENCE_MS = 20_000;
/** Without a delivery for that long, Klaviyo is asked whether there was nothing; again after that long. */
const SILENCE_MS = 30 * 60_000;
const ASK_AGAIN_MS = 60 * 60_000;
/**
 * Klaviyo may take so long to send an event: a younger one is not missing yet. One that was just switched on sends what
 * happens after that time at the latest.
 */
const ON_ITS_WAY_MS = 20 * 60_000;
/** Nobody was there for that long: we may have missed what Klaviyo gave up sending. */
const AWAY_SECONDS = 3600;
/** What Klaviyo tried to send before it switched a webhook off: up to 48 hours. */
const TRIED_MS = 49 * 3_600_000;
/** Asked again, Klaviyo would say the same. */
const REFUSED: ReadonlySet<ErrorCode> = new Set(['KLAVIYO_REJECTED', 'KLAVIYO_SCOPE_MISSING', 'KLAVIYO_PLAN_REQUIRED']);

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
    await this.system.beat(AWAY_SECONDS);
    const end = this.clock.now() + TURN_MS;
    const seen = new Set<string>();
    let goesOn = true;
    while (goesOn && this.clock.now() < end) {
      const due = await this.system.claimChecks(EVERY_SECONDS, LEASE_SECONDS, AT_ONCE);
      const byConnection = Map.groupBy(due, ({ userId, connectionId }) => `${userId} ${connectionId}`);
      await Promise.all([...byConnection.values()].map((checks) => this.checkAll(checks)));
      goesOn = due.length === AT_ONCE && due.some(({ id }) => !seen.has(id));
      for (const { id } of due) seen.add(id);
    }
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
        const before = wanted.find(({ id }) => id === check.id);
        if (before) await this.checkOne(access, connection, before, check, remotes);
      }
    } catch (error) {
      this.failed(error, { userId, connectionId });
    }
  }

  /** By itself: one that fails does not keep its neighbours from being looked at; it is again when its lease is over. */
  private async checkOne(
    access: KlaviyoAccess,
    connection: Connection,
    before: Webhook,
    check: DueCheck,
    remotes: readonly RemoteWebhook[],
  ): Promise<void> {
    const { userId, connectionId, id } = check;
    try {
      // Klaviyo was slow, maybe: what its user did meanwhile is not undone there.
      const webhook = await this.webhooks.one(userId, connectionId, id);
      if (webhook?.enabled === before.enabled) await this.check(access, connection, webhook, check, remotes);
      await this.webhooks.checked(userId, id);
    } catch (error) {
      this.failed(error, { userId, connectionId, webhookId: id });
    }
  }

  private async check(
    access: KlaviyoAccess,
    connection: Connection,
    webhook: Webhook,
    check: DueCheck,
    remotes: readonly RemoteWebhook[],
  ): Promise<void> {
    if (webhook.klaviyoWebhookId === null) {
      await this.withAllTopics(connection, webhook);
      return;
    }
    const remote = remotes.find(({ id }) => id === webhook.klaviyoWebhookId);
    if (!remote) return this.gone(connection, webhook);
    // Before anything is said to Klaviyo: what was missed is not forgotten, however that ends.
    if (webhook.enabled && !remote.enabled) await this.wasOff(connection, webhook, check);
    if (webhook.enabled && remote.enabled) await this.listen(connection, webhook, check);
    try {
      await this.tell(access, connection, webhook, remote);
    } catch (error) {
      if (!(error instanceof AppError) || !REFUSED.has(error.code)) throw error;
      return this.refused(connection, webhook, error);
    }
    if (webhook.enabled) await this.isWell(connection, webhook, remote);
  }

  /** Tells Klaviyo what it has otherwise than we do. @throws AppError whatever Klaviyo says */
  private async tell(
    access: KlaviyoAccess,
    connection: Connection,
    webhook: Webhook,
    remote: RemoteWebhook,
  ): Promise<void> {
    if (!webhook.secretConfirmed) await this.service.tellSecret(connection, webhook);
    if (!webhook.enabled) return;
    const current = await this.withAllTopics(connection, webhook);
    const change = differenceOf(current, remote);
    if (Object.keys(change).length === 0) return;
    const { enabled } = (await this.webhooks.one(access.userId, connection.id, current.id)) ?? { enabled: false };
    if (enabled) await this.atKlaviyo.update(access, current.id, remote.id, change, this.waits());
  }

  private async isWell(connection: Connection, webhook: Webhook, remote: RemoteWebhook): Promise<void> {
    if (await this.webhooks.setStatus(Number(connection.userId), webhook.id, 'active'))
      this.alerts.over('gone', webhook.id);
    this.alerts.over('refused', webhook.id);
    if (remote.enabled) this.alerts.over('off', webhook.id);
    else this.alerts.raise('off', connection, webhook);
  }

  /** Has events read, where Klaviyo should have sent some and may not have. */
  private async listen(connection: Connection, webhook: Webhook, check: DueCheck): Promise<void> {
    const now = this.clock.now();
    if (check.awaySince !== null)
      return this.fill(connection, webhook, check.awaySince.getTime() - ON_ITS_WAY_MS, now + ON_ITS_WAY_MS, 'away');
    const pushed = check.lastPushedAt?.getTime() ?? 0;
    if (now - Math.max(pushed, webhook.readsFrom.getTime()) < SILENCE_MS) {
      this.alerts.over('silent', webhook.id);
      return;
    }
    const until = now - ON_ITS_WAY_MS;
    // What came until then was sent, but for what was still on its way.
    const known = Math.max(webhook.readFrom.getTime(), pushed - ON_ITS_WAY_MS);
    if (webhook.readAt === null && until - known > ASK_AGAIN_MS)
      await this.fill(connection, webhook, known, until, 'silent');
  }

  /** Klaviyo switched it off, after errors for two days or because somebody wanted it so there. */
  private async wasOff(connection: Connection, webhook: Webhook, check: DueCheck): Promise<void> {
    const { readFrom, readReason } = webhook;
    const heard = Math.max(check.lastPushedAt?.getTime() ?? 0, readFrom.getTime());
    // Still off since the last look: what was missed before that is being read already.
    const from = readReason === 'off' ? readFrom.getTime() : heard - TRIED_MS;
    await this.fill(connection, webhook, from, this.clock.now() + ON_ITS_WAY_MS, 'off');
  }

  private async gone(connection: Connection, webhook: Webhook): Promise<void> {
    await this.webhooks.setStatus(Number(connection.userId), webhook.id, 'error');
    this.alerts.raise('gone', connection, webhook);
  }

  /** It stays as Klaviyo has it, and what may be missing for that is read, until somebody does something about it. */
  private async refused(connection: Connection, webhook: Webhook, { code }: AppError): Promise<void> {
    const userId = Number(connection.userId);
    this.logger.warn({ msg: 'Klaviyo refuses a change of a webhook', code, userId, webhookId: webhook.id });
    await this.webhooks.setStatus(userId, webhook.id, 'error');
    this.alerts.raise('refused', connection, webhook);
  }

  /** @throws what is not a failure that may pass */
  private failed(error: unknown, where: { userId: number; connectionId: string; webhookId?: string }): void {
    if (!(error instanceof AppError)) throw error;
    this.logger.warn({ msg: 'webhooks could not be looked at', code: error.code, ...where });
  }

  /** Events were missing though it was on and we were there, so Klaviyo does not send them: it is told to, once more. */
  private async filled(connection: Connection, webhook: Webhook, found: number): Promise<void> {
    if (found === 0 || webhook.klaviyoWebhookId === null || webhook.readReason !== 'silent') return;
    this.logger.warn({ msg: 'events that Klaviyo had not sent were read', found, webhookId: webhook.id });
    this.alerts.raise('silent', connection, webhook);
    const access = await this.connections.accessOf(connection);
    await this.atKlaviyo.update(access, webhook.id, webhook.klaviyoWebhookId, { enabled: true }, this.waits());
  }

  private async fill(
    connection: Connection,
    webhook: Webhook,
    from: number,
    until: number,
    reason: ReadReason,
  ): Promise<void> {
    const userId = Number(connection.userId);
    const begin = Math.max(from, webhook.readsFrom.getTime());
    if (begin >= until) return;
    await this.reading.fill(userId, webhook.id, new Date(begin), new Date(until), reason);
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
