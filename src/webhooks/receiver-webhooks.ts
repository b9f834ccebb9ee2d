import { createSecretKey, type KeyObject } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { WebhookSecrets } from './webhooks.secrets';
import { WebhooksSystemRepository, type ReceivingWebhook } from './webhooks.system.repository';

/** A webhook with the secrets that its deliveries may be signed with. */
export interface KnownWebhook {
  userId: number;
  connectionId: string;
  id: string;
  accountId: string;
  secrets: readonly KeyObject[];
}

interface Entry {
  webhooks: readonly KnownWebhook[];
  loadedAt: number;
}

/** A removed webhook or an ended overlap is noticed at the latest after this long; new secrets at once, by `again`. */
const KEEP_MS = 60_000;
/** How often somebody who sends wrong signatures can make us ask the database again. */
const AGAIN_MS = 1000;
const MOST = 5000;
/** Look-ups at once, and what may wait for one: anybody can cause them, and the database is for others, too. */
const LINES = 2;
const MOST_WAITING = 200;
const RETRY_SECONDS = 5;

/** Who has a webhook, by Klaviyo's id; keeps opened secrets for a minute, since opening one costs more than the rest. */
@Injectable()
export class ReceiverWebhooks {
  private readonly kept = new Map<string, Entry>();
  private readonly loading = new Map<string, Promise<readonly KnownWebhook[]>>();
  private readonly queue: (() => void)[] = [];
  private busy = 0;

  constructor(
    private readonly system: WebhooksSystemRepository,
    private readonly secrets: WebhookSecrets,
    private readonly clock: Clock,
  ) {}

  /**
   * Nobody, mostly one; two where two users are connected to one account by the same webhook.
   * @throws AppError SERVICE_UNAVAILABLE for one that is not known yet while too many others are looked up
   */
  async of(klaviyoId: string): Promise<readonly KnownWebhook[]> {
    const entry = this.kept.get(klaviyoId);
    return entry && this.clock.now() - entry.loadedAt < KEEP_MS ? entry.webhooks : this.load(klaviyoId);
  }

  /** As the database has it now, where the last look is not of this very moment: undefined then. */
  async again(klaviyoId: string): Promise<readonly KnownWebhook[] | undefined> {
    const entry = this.kept.get(klaviyoId);
    if (!entry || this.clock.now() - entry.loadedAt < AGAIN_MS) return undefined;
    return this.load(klaviyoId);
  }

  forget(klaviyoId: string): void {
    this.kept.delete(klaviyoId);
  }

  private load(klaviyoId: string): Promise<readonly KnownWebhook[]> {
    const under = this.loading.get(klaviyoId);
    if (under) return under;
    const loading = this.inLine(klaviyoId).finally(() => this.loading.delete(klaviyoId));
    this.loading.set(klaviyoId, loading);
    return loading;
  }

  /** Those that are known go first: there are only so many of them, and strangers must not keep them waiting. */
  private async inLine(klaviyoId: string): Promise<readonly KnownWebhook[]> {
    if (this.busy >= LINES) {
      const isKnown = this.kept.has(klaviyoId);
      if (!isKnown && this.queue.length >= MOST_WAITING)
        throw new AppError('SERVICE_UNAVAILABLE', { retryAfter: RETRY_SECONDS, reason: 'too many are looked up' });
      // Whoever lets us through hands their place over.
      await new Promise<void>((go) => (isKnown ? this.queue.unshift(go) : this.queue.push(go)));
    } else this.busy += 1;
    try {
      return await this.read(klaviyoId);
    } finally {
      const next = this.queue.shift();
      if (next) next();
      else this.busy -= 1;
    }
  }

  private async read(klaviyoId: string): Promise<readonly KnownWebhook[]> {
    const loadedAt = this.clock.now();
    const rows = await this.system.byKlaviyoId(klaviyoId);
    const webhooks = await Promise.all(rows.map((row) => this.opened(row)));
    this.kept.delete(klaviyoId);
    if (webhooks.length === 0) return webhooks;
    const oldest = this.kept.size >= MOST ? this.kept.keys().next().value : undefined;
    if (oldest !== undefined) this.kept.delete(oldest);
    this.kept.set(klaviyoId, { webhooks, loadedAt });
    return webhooks;
  }

  private async opened(row: ReceivingWebhook): Promise<KnownWebhook> {
    const { userId, connectionId, id, accountId } = row;
    const secrets = await Promise.all(row.sealedSecrets.map((sealed) => this.secrets.open(userId, id, sealed)));
    return { userId, connectionId, id, accountId, secrets: secrets.map((secret) => createSecretKey(secret, 'utf8')) };
  }
}
