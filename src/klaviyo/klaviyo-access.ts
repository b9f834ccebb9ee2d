import { inspect } from 'node:util';

/** Whose Klaviyo account is spoken to, with its private key unreadable by accident: no log, JSON or inspection shows it. */
export class KlaviyoAccess {
  readonly userId: number;
  readonly connectionId: string;
  /** Klaviyo's account id (6 characters): the quota is shared by every key of one account. Before Klaviyo named it, a text that stands for the key. */
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
