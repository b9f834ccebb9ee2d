import { Inject, Injectable, Logger } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError, invalid, type ErrorCode } from '../common/errors';
import { ENV, type Env } from '../config/env';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { Db } from '../database/scope';
import { HealthAlerts } from './health-alerts';
import { PollJob } from './poll.job';
import { ReceiverWebhooks } from './receiver-webhooks';
import { Removals } from './removals';
import { Topics } from './topics';
import { topicsView, type TopicsView } from './topics-view';
import { checkTopics, WebhookCreation, type WebhookInput } from './webhook-creation';
import type { Webhook } from './webhook.entity';
import { WebhooksKlaviyo } from './webhooks.klaviyo';
import { WebhooksRepository, type WebhookPatch } from './webhooks.repository';
import { WebhookSecrets } from './webhooks.secrets';
import { WebhookStatistics, type WebhookStats } from './webhook-statistics';

export interface WebhookChangeInput {
  connectionId?: string;
  name?: string;
  description?: string | null;
  topics?: readonly string[] | 'all';
  enabled?: boolean;
}

export interface WebhookView {
  webhook: Webhook;
  stats: WebhookStats;
}

export interface RotatedView extends WebhookView {
  /** RFC 3339. */
  previousSecretUntil: string | null;
}

export interface RemovedView {
  removed: number;
  pendingAtKlaviyo: boolean;
}

/** Klaviyo said no, so nothing changed there; after anything else it may have. */
const REFUSED: ReadonlySet<ErrorCode> = new Set([
  'KLAVIYO_REJECTED',
  'KLAVIYO_KEY_INVALID',
  'KLAVIYO_SCOPE_MISSING',
  'KLAVIYO_PLAN_REQUIRED',
  'KLAVIYO_REVISION_RETIRED',
  'WEBHOOK_NOT_FOUND',
]);

/** Webhooks of a connected account: made, shown, changed, removed. */
@Injectable()
export class WebhooksService {
  private readonly logger = new Logger('Webhooks');

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly db: Db,
    private readonly connections: ConnectionService,
    private readonly creation: WebhookCreation,
    private readonly topicLists: Topics,
    private readonly secrets: WebhookSecrets,
    private readonly atKlaviyo: WebhooksKlaviyo,
    private readonly webhooks: WebhooksRepository,
    private readonly removals: Removals,
    private readonly polls: PollJob,
    private readonly statistics: WebhookStatistics,
    private readonly alerts: HealthAlerts,
    private readonly receiving: ReceiverWebhooks,
  ) {}

  /** @throws AppError as `WebhookCreation.create` */
  async create(scope: UserScope, input: WebhookInput): Promise<WebhookView> {
    const connection = await this.connections.resolve(scope, input.connectionId);
    const id = await this.creation.create(connection, input);
    return this.view(scope.userId, connection.id, id);
  }

  /** Oldest first. */
  async all(scope: UserScope, connectionId: string | undefined): Promise<WebhookView[]> {
    const connection = await this.connections.resolve(scope, connectionId);
    const rows = await this.webhooks.all(scope.userId, connection.id);
    return this.withStats(scope.userId, connection.id, rows);
  }

  async topics(scope: UserScope, connectionId: string | undefined): Promise<TopicsView> {
    const connection = await this.connections.resolve(scope, connectionId);
    return topicsView(await this.topicLists.of(connection), this.env.publicBaseUrl !== undefined);
  }

  /**
   * At Klaviyo first: what it refuses is not changed here either.
   * @throws AppError WEBHOOK_NOT_FOUND; VALIDATION_FAILED; CONFLICT where Klaviyo has it no more (its status says so then)
   */
  async update(scope: UserScope, id: string, input: WebhookChangeInput): Promise<WebhookView> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const webhook = await this.one(userId, connection, id);
    const { name, description, enabled, topics } = input;
    if ([name, description, enabled, topics].every((value) => value === undefined))
      throw invalid('name', 'nothingToDo');
    const patch: WebhookPatch = {
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(topics === undefined ? {} : { topics: await this.known(connection, topics), allTopics: topics === 'all' }),
    };
    if (webhook.klaviyoWebhookId !== null) await this.changeThere(connection, webhook, webhook.klaviyoWebhookId, patch);
    await this.webhooks.change(userId, id, patch);
    if (webhook.delivery === 'poll') await this.polls.plan(userId, connection.id, 0);
    return this.view(userId, connection.id, id);
  }

  /**
   * The new secret is kept before Klaviyo is told of it, and both hold until Klaviyo has confirmed it and for as long
   * as it may retry what it signed with the one before; earlier ones to the end of their own time. Asked again before that, the rotation under way is finished.
   * @throws AppError WEBHOOK_NOT_FOUND; VALIDATION_FAILED for one without a secret; CONFLICT; whatever Klaviyo says: refused,
   * the secret before is the current one again; unanswered, both hold and the rotation is finished by itself
   */
  async rotate(scope: UserScope, id: string, connectionId: string | undefined): Promise<RotatedView> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, connectionId);
    const webhook = await this.one(userId, connection, id);
    if (webhook.klaviyoWebhookId === null) throw invalid('id', 'hasNoSecret');
    const access = await this.connections.accessOf(connection);
    const fresh = webhook.secretConfirmed;
    if (fresh) {
      const sealed = await this.secrets.seal(userId, id, this.secrets.make());
      if (!(await this.webhooks.rotate(userId, id, webhook.secretVersion, sealed)))
        throw new AppError('CONFLICT', {
          reason: 'rotated at the same time, or too often: too many secrets still hold',
        });
      this.receiving.forget(webhook.klaviyoWebhookId);
    }
    const rotating = await this.one(userId, connection, id);
    try {
      await this.tellSecret(connection, rotating);
    } catch (error) {
      if (fresh && error instanceof AppError && REFUSED.has(error.code)) {
        await this.webhooks.takeBackSecret(userId, id, rotating.secretVersion, this.overlapHours());
        if (error.code === 'WEBHOOK_NOT_FOUND') await this.gone(connection, rotating);
      }
      throw error;
    }
    this.logger.log({ msg: 'a webhook has a new secret', webhookId: id, ...access.toJSON() });
    const view = await this.view(userId, connection.id, id);
    return { ...view, previousSecretUntil: view.webhook.previousUntil?.toISOString() ?? null };
  }

  /** Tells Klaviyo the current secret, as often as it takes; then the one before gets its end. */
  async tellSecret(connection: Connection, webhook: Webhook): Promise<void> {
    const { id, klaviyoWebhookId, sealedSecret, secretVersion } = webhook;
    if (klaviyoWebhookId === null || sealedSecret === null) return;
    const userId = Number(webhook.userId);
    const access = await this.connections.accessOf(connection);
    const secret = await this.secrets.open(userId, id, sealedSecret);
    await this.atKlaviyo.update(access, id, klaviyoWebhookId, { secret });
    await this.webhooks.confirmSecret(userId, id, secretVersion, this.overlapHours());
  }

  /** Here at once; at Klaviyo now if it answers, else later by itself. @throws AppError WEBHOOK_NOT_FOUND */
  async remove(scope: UserScope, input: { connectionId?: string; webhookId: string }): Promise<RemovedView> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const webhook = await this.one(userId, connection, input.webhookId.toLowerCase());
    await this.db.inTransaction(userId, async () => {
      if (!(await this.webhooks.remove(userId, webhook.id))) throw new AppError('WEBHOOK_NOT_FOUND');
      await this.removals.plan(connection, webhook);
    });
    this.alerts.forget(webhook.id);
    if (webhook.klaviyoWebhookId === null) return { removed: 1, pendingAtKlaviyo: false };
    this.receiving.forget(webhook.klaviyoWebhookId);
    if (connection.status === 'invalid') return { removed: 1, pendingAtKlaviyo: true };
    const access = await this.connections.accessOf(connection);
    const isGone = await this.removals.tryNow(access, webhook.id, webhook.klaviyoWebhookId);
    return { removed: 1, pendingAtKlaviyo: !isGone };
  }

  private async changeThere(
    connection: Connection,
    webhook: Webhook,
    klaviyoWebhookId: string,
    patch: WebhookPatch,
  ): Promise<void> {
    const access = await this.connections.accessOf(connection);
    const { name, description, enabled, topics } = patch;
    const change = {
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(topics === undefined ? {} : { topics }),
    };
    try {
      await this.atKlaviyo.update(access, webhook.id, klaviyoWebhookId, change);
    } catch (error) {
      if (error instanceof AppError && error.code === 'WEBHOOK_NOT_FOUND') await this.gone(connection, webhook);
      throw error;
    }
  }

  /** @throws AppError CONFLICT */
  private async gone(connection: Connection, webhook: Webhook): Promise<never> {
    await this.webhooks.setStatus(Number(connection.userId), webhook.id, 'error');
    throw new AppError('CONFLICT', { reason: 'Klaviyo does not have this webhook any more' });
  }

  private async known(connection: Connection, topics: readonly string[] | 'all'): Promise<readonly string[]> {
    const needed = topics === 'all' ? [] : topics;
    const offer = await this.topicLists.of(connection, needed);
    checkTopics(needed, offer.topics);
    return topics === 'all' ? offer.topics : topics;
  }

  private overlapHours(): number {
    return this.env.webhookRetryHorizonHours + 1;
  }

  private async one(userId: number, connection: Connection, id: string): Promise<Webhook> {
    const webhook = await this.webhooks.one(userId, connection.id, id);
    if (!webhook) throw new AppError('WEBHOOK_NOT_FOUND');
    return webhook;
  }

  private async view(userId: number, connectionId: string, id: string): Promise<WebhookView> {
    const webhook = await this.webhooks.one(userId, connectionId, id);
    const [view] = webhook ? await this.withStats(userId, connectionId, [webhook]) : [];
    if (!view) throw new AppError('WEBHOOK_NOT_FOUND');
    return view;
  }

  private async withStats(userId: number, connectionId: string, rows: readonly Webhook[]): Promise<WebhookView[]> {
    const ids = rows.map(({ id }) => id);
    const stats = await this.statistics.of(userId, connectionId, ids);
    return rows.map((webhook) => ({ webhook, stats: stats.get(webhook.id) ?? NOTHING_YET }));
  }
}

const NOTHING_YET: WebhookStats = {
  received: 0,
  processed: 0,
  failed: 0,
  duplicates: 0,
  lastReceivedAt: null,
  p95ProcessingMs: null,
};
