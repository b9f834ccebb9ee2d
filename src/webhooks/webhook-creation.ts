import { Inject, Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { AppError, type ErrorCode, type FieldFault } from '../common/errors';
import { ENV, type Env } from '../config/env';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { DatabaseError } from '../database/errors';
import { Db } from '../database/scope';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { isCircuitOpen } from '../klaviyo/klaviyo-error';
import { PollJob } from './poll.job';
import { Removals } from './removals';
import { Topics } from './topics';
import type { Delivery } from './webhook.entity';
import { WebhooksKlaviyo, type RemoteWebhook } from './webhooks.klaviyo';
import { MOST_WEBHOOKS, WebhooksRepository, type NewWebhook } from './webhooks.repository';
import { WebhookSecrets } from './webhooks.secrets';

export interface WebhookInput {
  connectionId?: string;
  name: string;
  description?: string | null;
  topics: readonly string[] | 'all';
  delivery?: 'auto' | Delivery;
}

/** Where Klaviyo is to send deliveries. */
const RECEIVER = '/api/v1/klaviyo/webhook-receiver';
/** Longer than a creation under way can take. */
const MARGIN_SECONDS = 60;
/** Klaviyo may have done it all the same. */
const UNCERTAIN: ReadonlySet<ErrorCode> = new Set(['KLAVIYO_TIMEOUT', 'KLAVIYO_UNAVAILABLE']);
/** What makes `auto` fall back to reading. */
const FORBIDDEN: ReadonlySet<ErrorCode> = new Set(['KLAVIYO_PLAN_REQUIRED', 'KLAVIYO_SCOPE_MISSING']);

/** Makes webhooks: at Klaviyo where the account may have them, else here alone. */
@Injectable()
export class WebhookCreation {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly db: Db,
    private readonly connections: ConnectionService,
    private readonly topics: Topics,
    private readonly secrets: WebhookSecrets,
    private readonly atKlaviyo: WebhooksKlaviyo,
    private readonly webhooks: WebhooksRepository,
    private readonly removals: Removals,
    private readonly polls: PollJob,
  ) {}

  /**
   * A webhook is here only once Klaviyo has it; an error means that it is not there either, or will be removed there.
   * @returns its id
   * @throws AppError VALIDATION_FAILED naming `topics[2]`; PUBLIC_URL_MISSING, KLAVIYO_PLAN_REQUIRED,
   * KLAVIYO_SCOPE_MISSING for `push`; WEBHOOK_LIMIT_REACHED, whether the ten are ours or not
   */
  async create(connection: Connection, input: WebhookInput): Promise<string> {
    const wanted = input.delivery ?? 'auto';
    if (wanted === 'push' && this.env.publicBaseUrl === undefined) throw new AppError('PUBLIC_URL_MISSING');
    const needed = input.topics === 'all' ? [] : input.topics;
    const offer = await this.topics.of(connection, needed);
    if (wanted === 'push' && offer.withoutPush !== null) throw refusedPush(offer.withoutPush);
    checkTopics(needed, offer.topics);
    const webhook = {
      id: uuidv7(),
      connectionId: connection.id,
      name: input.name,
      description: input.description ?? null,
      topics: input.topics === 'all' ? offer.topics : input.topics,
      allTopics: input.topics === 'all',
    };
    if (wanted === 'poll' || offer.withoutPush !== null || this.env.publicBaseUrl === undefined)
      return this.polled(connection, webhook);
    try {
      return await this.pushed(connection, webhook, `${this.env.publicBaseUrl.replace(/\/+$/, '')}${RECEIVER}`);
    } catch (error) {
      const isForbidden = error instanceof AppError && FORBIDDEN.has(error.code);
      if (wanted === 'push' || !isForbidden) throw error;
      return this.polled(connection, webhook);
    }
  }

  private async polled(connection: Connection, webhook: Common): Promise<string> {
    const userId = Number(connection.userId);
    await this.inRoom(connection, async () => {
      const none = { klaviyoWebhookId: null, endpointUrl: null, sealedSecret: null };
      await this.webhooks.insert(userId, { ...webhook, ...none, delivery: 'poll' });
    });
    await this.polls.plan(userId, connection.id, 0);
    return webhook.id;
  }

  private async pushed(connection: Connection, webhook: Common, endpointUrl: string): Promise<string> {
    const userId = Number(connection.userId);
    const access = await this.connections.accessOf(connection);
    const patience = this.env.requestDeadlineMs / 1000 + MARGIN_SECONDS;
    await this.inRoom(connection, () => this.removals.beforeCreation(connection, webhook.id, patience));
    const secret = this.secrets.make();
    const klaviyoWebhookId = await this.atKlaviyoOnce(access, { ...webhook, secret, endpointUrl });
    const sealedSecret = await this.secrets.seal(userId, webhook.id, secret);
    const row: NewWebhook = { ...webhook, klaviyoWebhookId, endpointUrl, sealedSecret, delivery: 'push' };
    try {
      await this.db.inTransaction(userId, async () => {
        // Before the removal, in the order of a disconnect: that one sees either the removal or the webhook.
        const isThere = await this.webhooks.lockConnection(userId, connection.id, 'addition');
        if (!isThere || !(await this.removals.takeBack(userId, webhook.id))) throw new AppError('CONNECTION_NOT_FOUND');
        await this.webhooks.insert(userId, row);
      });
    } catch (error) {
      // Its connection went meanwhile, or it took too long: nobody wants it any more.
      await this.removals.tryNow(access, webhook.id, klaviyoWebhookId);
      throw isForeignKey(error) ? new AppError('CONNECTION_NOT_FOUND') : error;
    }
    return webhook.id;
  }

  /** @returns Klaviyo's id, also where its answer got lost and it is there all the same */
  private async atKlaviyoOnce(
    access: KlaviyoAccess,
    webhook: Common & { secret: string; endpointUrl: string },
  ): Promise<string> {
    try {
      const id = await this.atKlaviyo.create(access, webhook.id, webhook);
      await this.connections.noteWrite(access, 'webhooks', 'ok');
      return id;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (UNCERTAIN.has(error.code) && !isCircuitOpen(error)) return this.foundAfterAll(access, webhook.id, error);
      await this.removals.takeBack(access.userId, webhook.id);
      if (error.code === 'KLAVIYO_PLAN_REQUIRED') await this.connections.noteWrite(access, 'webhooks', 'plan_required');
      if (error.code === 'KLAVIYO_SCOPE_MISSING') await this.connections.noteWrite(access, 'webhooks', 'scope_missing');
      if (error.code === 'KLAVIYO_REJECTED' && (await this.isFull(access))) throw new AppError('WEBHOOK_LIMIT_REACHED');
      throw error;
    }
  }

  private async foundAfterAll(access: KlaviyoAccess, ourId: string, error: AppError): Promise<string> {
    const all = await this.allOf(access);
    const found = all?.find((remote) => remote.ourId === ourId);
    if (!found) throw error;
    return found.id;
  }

  private async isFull(access: KlaviyoAccess): Promise<boolean> {
    return ((await this.allOf(access))?.length ?? 0) >= MOST_WEBHOOKS;
  }

  /** Undefined where Klaviyo does not say. */
  private async allOf(access: KlaviyoAccess): Promise<RemoteWebhook[] | undefined> {
    try {
      return await this.atKlaviyo.all(access, { maxRetries: 1 });
    } catch (error) {
      if (error instanceof AppError) return undefined;
      throw error;
    }
  }

  /** @throws AppError WEBHOOK_LIMIT_REACHED, CONNECTION_NOT_FOUND */
  private async inRoom(connection: Connection, work: () => Promise<void>): Promise<void> {
    const userId = Number(connection.userId);
    await this.db.inTransaction(userId, async () => {
      const hasRoom = await this.webhooks.lockRoom(userId, connection.id);
      if (hasRoom === undefined) throw new AppError('CONNECTION_NOT_FOUND');
      if (!hasRoom) throw new AppError('WEBHOOK_LIMIT_REACHED');
      await work();
    });
  }
}

type Common = Pick<NewWebhook, 'id' | 'connectionId' | 'name' | 'description' | 'topics' | 'allTopics'>;

/** @throws AppError VALIDATION_FAILED naming each topic that the account does not have */
export function checkTopics(wanted: readonly string[], known: readonly string[]): void {
  const all = new Set(known);
  const errors = wanted.flatMap((topic, at): FieldFault[] =>
    all.has(topic) ? [] : [{ field: `topics[${at}]`, key: 'unknownTopic' }],
  );
  if (errors.length > 0) throw new AppError('VALIDATION_FAILED', { errors });
}

function refusedPush(code: 'KLAVIYO_PLAN_REQUIRED' | 'KLAVIYO_SCOPE_MISSING'): AppError {
  if (code === 'KLAVIYO_PLAN_REQUIRED') return new AppError(code);
  const scopes = ['webhooks:read', 'webhooks:write'];
  return new AppError(code, { params: { scopes: scopes.join(', ') }, extra: { scopes } });
}

function isForeignKey(error: unknown): boolean {
  return error instanceof DatabaseError && error.sqlState === '23503';
}
