import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { KeyCopiesService } from '../connection/key-copies.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { KlaviyoCall } from '../klaviyo/klaviyo.client';
import { HealthAlerts } from './health-alerts';
import { RemovalsRepository } from './removals.repository';
import type { Webhook } from './webhook.entity';
import { WebhooksKlaviyo } from './webhooks.klaviyo';
import { WebhooksRepository } from './webhooks.repository';
import { WebhooksSystemRepository, type DueRemoval } from './webhooks.system.repository';

/** Removals of one turn, side by side, and the time of each. */
const AT_ONCE = 20;
const ATTEMPT_MS = 20_000;
const LEASE_SECONDS = 90;
/** Whoever removes a webhook does not wait longer for Klaviyo. */
const PATIENCE_MS = 4000;
const FIRST_PAUSE = 30;
const MAX_PAUSE = 3600;
const KEEP_SECONDS = 7 * 86_400;
/** A key outlives its connection for that long at most. */
const KEEP_KEY_SECONDS = 48 * 3600;

type Waits = Pick<KlaviyoCall, 'priority' | 'deadline' | 'maxRetries'>;

/**
 * Sees to it that nothing of ours stays at Klaviyo: what was removed here while Klaviyo did not answer, or with its
 * connection, and creations of which nobody knows whether they happened.
 */
@Injectable()
export class Removals implements OnModuleInit {
  private readonly logger = new Logger('Webhooks');

  constructor(
    private readonly clock: Clock,
    private readonly connections: ConnectionService,
    private readonly keys: KeyCopiesService,
    private readonly atKlaviyo: WebhooksKlaviyo,
    private readonly webhooks: WebhooksRepository,
    private readonly removals: RemovalsRepository,
    private readonly system: WebhooksSystemRepository,
    private readonly alerts: HealthAlerts,
  ) {}

  onModuleInit(): void {
    this.connections.onDisconnect(async (userId, connectionIds) => {
      for (const connectionId of connectionIds) await this.disconnected(userId, connectionId);
      return 0;
    });
  }

  /** Before something is made at Klaviyo: unless it is taken back in time, whatever came of it is removed there. */
  async beforeCreation(connection: Connection, webhookId: string, seconds: number): Promise<void> {
    await this.removals.add(Number(connection.userId), {
      webhookId,
      connectionId: connection.id,
      accountId: connection.accountId,
      klaviyoWebhookId: null,
      dueIn: seconds,
      expiresIn: KEEP_SECONDS,
    });
  }

  /** It was made, and is wanted; or it was not made. @returns false where its removal has begun */
  async takeBack(userId: number, webhookId: string): Promise<boolean> {
    return this.removals.withdraw(userId, webhookId);
  }

  /** Inside the transaction that removes the webhook here. Nothing to do for one that Klaviyo does not know. */
  async plan(connection: Connection, webhook: Pick<Webhook, 'id' | 'klaviyoWebhookId'>): Promise<void> {
    if (webhook.klaviyoWebhookId === null) return;
    await this.removals.add(Number(connection.userId), {
      webhookId: webhook.id,
      connectionId: connection.id,
      accountId: connection.accountId,
      klaviyoWebhookId: webhook.klaviyoWebhookId,
      // Its planner tries at once; this is for when that fails.
      dueIn: FIRST_PAUSE,
      expiresIn: KEEP_SECONDS,
    });
  }

  /** Tries now what was planned. @returns whether Klaviyo is rid of it; else it is tried again later */
  async tryNow(access: KlaviyoAccess, webhookId: string, klaviyoWebhookId: string): Promise<boolean> {
    try {
      await this.removeThere(access, klaviyoWebhookId, { deadline: this.clock.now() + PATIENCE_MS, maxRetries: 1 });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.logger.warn({ msg: 'a webhook stays at Klaviyo for now', code: error.code, ...access.toJSON() });
      return false;
    }
    await this.removals.end(access.userId, webhookId);
    return true;
  }

  /** Works off what is due, of all users. */
  async turn(): Promise<void> {
    const due = await this.system.claimRemovals(uuidv4(), LEASE_SECONDS, AT_ONCE);
    await Promise.all(due.map((removal) => this.work(removal)));
  }

  private async work(removal: DueRemoval): Promise<void> {
    const { userId, webhookId, connectionId, attempts } = removal;
    if (removal.expired) {
      this.logger.warn({ msg: 'a webhook could not be removed at Klaviyo and stays there', userId, connectionId });
      return this.removals.end(userId, webhookId);
    }
    try {
      const access = await this.accessFor(removal);
      if (access) await this.remove(access, removal);
      await this.removals.end(userId, webhookId);
    } catch (error) {
      const code = error instanceof AppError ? error.code : 'INTERNAL';
      this.logger.warn({ msg: 'a webhook stays at Klaviyo for now', code, userId, connectionId });
      // A copied key that Klaviyo refuses is of no more use to anybody.
      if (code === 'KLAVIYO_KEY_INVALID' && removal.sealedKey !== null) return this.removals.end(userId, webhookId);
      await this.removals.putOff(userId, webhookId, Math.min(FIRST_PAUSE * 2 ** attempts, MAX_PAUSE));
    }
  }

  /** Undefined where nobody has a key any more. */
  private async accessFor(removal: DueRemoval): Promise<KlaviyoAccess | undefined> {
    const { userId, connectionId, accountId, webhookId, sealedKey } = removal;
    if (sealedKey !== null)
      return this.keys.accessOf({ userId, connectionId, accountId }, holderOf(webhookId), sealedKey);
    try {
      return await this.connections.accessFor({ userId }, connectionId);
    } catch (error) {
      if (error instanceof AppError && error.code === 'CONNECTION_NOT_FOUND') return undefined;
      throw error;
    }
  }

  private async remove(access: KlaviyoAccess, removal: DueRemoval): Promise<void> {
    if (removal.klaviyoWebhookId !== null) return this.removeThere(access, removal.klaviyoWebhookId, this.unhurried());
    const all = await this.atKlaviyo.all(access, this.unhurried());
    for (const remote of all)
      if (remote.ourId === removal.webhookId) await this.removeThere(access, remote.id, this.unhurried());
  }

  private async removeThere(access: KlaviyoAccess, klaviyoWebhookId: string, waits: Waits): Promise<void> {
    try {
      await this.atKlaviyo.remove(access, klaviyoWebhookId, waits);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'WEBHOOK_NOT_FOUND') throw error;
    }
  }

  private unhurried(): Waits {
    return { priority: 'background', deadline: this.clock.now() + ATTEMPT_MS };
  }

  /** The rows of the webhooks go with the connection; what Klaviyo still has keeps a sealed copy of the key. */
  private async disconnected(userId: number, connectionId: string): Promise<void> {
    // A creation that is about to be written ends first, and one that comes later finds no connection.
    await this.webhooks.lockConnection(userId, connectionId, 'end');
    const connection = await this.connections.resolve({ userId }, connectionId);
    for (const webhook of await this.webhooks.all(userId, connectionId)) {
      await this.plan(connection, webhook);
      this.alerts.forget(webhook.id);
    }
    for (const { webhookId } of await this.removals.ofConnection(userId, connectionId)) {
      const copy = await this.keys.copy(userId, connectionId, holderOf(webhookId));
      if (copy === undefined) await this.removals.end(userId, webhookId);
      else await this.removals.keepKey(userId, webhookId, copy, KEEP_KEY_SECONDS);
    }
  }
}

function holderOf(webhookId: string): string {
  return `webhook-removal:${webhookId}`;
}
