import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

/** Whose Klaviyo account is spoken to, with its private key unreadable by accident: no log, JSON or inspection shows it. */
export class KlaviyoAccess {
  readonly userId: number;
  readonly connectionId: string;
  /** Klaviyo's account id (6 characters): the quota is shared by every key of one account. Empty until Klaviyo named it. */
  readonly accountId: string;
  readonly #privateKey: string;

  constructor(init: { userId: number; connectionId: string; accountId: string; privateKey: string }) {
    this.userId = init.userId;
    this.connectionId = init.connectionId;
    this.accountId = init.accountId;
    this.#privateKey = init.privateKey;
  }

  /** The value of the Authorization header. For the client alone. */
  authorization(): string {
    return `Klaviyo-API-Key ${this.#privateKey}`;
  }

  /** Whose quota and health a call counts on: the account, or the key alone (as a digest) while its account is not known. */
  get budget(): string {
    return this.accountId === ''
      ? `key:${createHash('sha256').update(this.#privateKey).digest('base64url').slice(0, 22)}`
      : this.accountId;
  }

  toJSON(): { userId: number; connectionId: string; accountId: string } {
    return { userId: this.userId, connectionId: this.connectionId, accountId: this.accountId };
  }

  toString(): string {
    return `KlaviyoAccess(user ${this.userId}, connection ${this.connectionId}, account ${this.accountId})`;
  }

  [inspect.custom](): string {
    return this.toString();
  }
}
