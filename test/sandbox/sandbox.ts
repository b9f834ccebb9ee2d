import type { AccountOptions, Key } from './account.ts';
import { Account } from './account.ts';
import { Clock } from './clock.ts';
import { Deliverer } from './deliveries.ts';
import { hashText, mix } from './random.ts';
import { RequestLog } from './request-log.ts';
import type { Switches } from './switches.ts';

/** The whole state of the process: accounts by id and by key, and the clock they share. */
export class Sandbox {
  readonly clock = new Clock();
  readonly seed: number;
  /** Requests whose key belongs to no account. */
  readonly strangers = new RequestLog();
  private readonly accounts = new Map<string, Account>();
  private readonly byKey = new Map<string, { account: Account; key: Key }>();
  private readonly deliverers = new WeakMap<Account, Deliverer>();
  private ordinal = 0;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** A new account with its keys (one of its own making when none is given). */
  create(options: AccountOptions & { keys?: Partial<Key>[]; switches?: Partial<Switches> }): Account {
    this.ordinal += 1;
    const seeded = { seed: mix(this.seed, this.ordinal), ...options };
    const account = new Account(seeded, this.ordinal, this.clock.now(), options.switches);
    if (this.accounts.has(account.id)) throw new Error(`id: an account ${account.id} exists`);
    const keys = options.keys ?? [{}];
    try {
      for (const key of keys) this.addKey(account, key);
    } catch (error) {
      for (const { key } of account.keys) this.byKey.delete(key);
      throw error;
    }
    const deliverer = new Deliverer(account, () => this.clock.now());
    account.onEvent = (event) => {
      deliverer.enqueue(event);
    };
    this.deliverers.set(account, deliverer);
    this.accounts.set(account.id, account);
    return account;
  }

  addKey(account: Account, wanted: Partial<Key>): Key {
    const key: Key = {
      key: wanted.key ?? privateKey(mix(this.seed, account.seed, hashText(account.id), account.keys.length)),
      scopes: wanted.scopes ?? 'all',
      invalid: wanted.invalid ?? false,
    };
    const known = account.keys.find((other) => other.key === key.key);
    if (known !== undefined) return Object.assign(known, wanted);
    if (this.byKey.has(key.key)) throw new Error('keys: this key belongs to another account');
    account.keys.push(key);
    this.byKey.set(key.key, { account, key });
    return key;
  }

  get(id: string): Account | undefined {
    return this.accounts.get(id);
  }

  owner(key: string): { account: Account; key: Key } | undefined {
    return this.byKey.get(key);
  }

  list(): Account[] {
    return [...this.accounts.values()];
  }

  remove(account: Account): void {
    this.accounts.delete(account.id);
    for (const { key } of account.keys) this.byKey.delete(key);
  }

  delivererOf(account: Account): Deliverer {
    const deliverer = this.deliverers.get(account);
    if (deliverer === undefined) throw new Error('an account always has its deliverer');
    return deliverer;
  }

  /** Forgets every account (ids and keys of new ones are new all the same); the process and its clock go on. */
  reset(): void {
    this.accounts.clear();
    this.byKey.clear();
    this.strangers.clear();
  }

  /** Runs what is due in every account, as time alone would. */
  settle(): void {
    const now = this.clock.now();
    for (const account of this.accounts.values()) {
      account.settle(now);
      this.delivererOf(account).flush();
    }
  }
}

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** `pk_` and 34 alphanumerics, from a seed. */
export function privateKey(seed: number, prefix = 'pk_', length = 34): string {
  return prefix + Array.from({ length }, (_, i) => ALPHANUMERIC[mix(seed, i, 41) % 62]).join('');
}
