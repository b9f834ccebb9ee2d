import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { IdempotencyRepository } from '../auth/idempotency.repository';
import type { UserScope } from '../auth/user-scope';
import { AppError, invalid } from '../common/errors';
import { currentContext } from '../common/request-context';
import { Db } from '../database/scope';
import { EncryptionService } from '../encryption/encryption.service';
import { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { capabilitiesFrom, type Area, type Capability } from './capabilities';
import type { Connection } from './connection.entity';
import { ConnectionKlaviyo, type Account } from './connection.klaviyo';
import { ConnectionRepository, type StoredAccount, type StoredKey } from './connection.repository';
import { OpenedKeys } from './opened-keys';
import { sealContext } from './sealed-key';

export type ConnectWarning = 'PUBLIC_KEY_MISMATCH' | 'SCOPES_MISSING' | 'WEBHOOKS_UNAVAILABLE';

export interface ConnectInput {
  /** When given, the connection whose key is replaced: the key must belong to its account. */
  connectionId?: string;
  privateApiKey: string;
  publicApiKey?: string;
  label?: string | null;
  isDefault?: boolean;
}

export interface Connected {
  connection: Connection;
  created: boolean;
  warnings: ConnectWarning[];
}

/** Told inside the transaction that disconnects; answers how many waiting events it dropped. */
type DisconnectListener = (userId: number, connectionIds: readonly string[]) => Promise<number>;
/** Told after a connection has a good key again. */
type RevivedListener = (userId: number, connectionId: string) => Promise<void>;
/** Told once when a connection becomes invalid: its background work stops here. */
type InvalidatedListener = (userId: number, connectionId: string) => void;

/** The only door to a Klaviyo key: connects, checks, replaces and erases accounts, and lends out access to them. */
@Injectable()
export class ConnectionService implements OnModuleInit {
  private readonly logger = new Logger('Connection');
  private readonly versions = new WeakMap<KlaviyoAccess, number>();
  private readonly onDisconnectListeners: DisconnectListener[] = [];
  private readonly onRevivedListeners: RevivedListener[] = [];
  private readonly onInvalidatedListeners: InvalidatedListener[] = [];

  constructor(
    private readonly db: Db,
    private readonly connections: ConnectionRepository,
    private readonly atKlaviyo: ConnectionKlaviyo,
    private readonly klaviyo: KlaviyoClient,
    private readonly encryption: EncryptionService,
    private readonly openedKeys: OpenedKeys,
    private readonly idempotency: IdempotencyRepository,
  ) {}

  onModuleInit(): void {
    this.klaviyo.onKeyRefused((access) => this.keyRefused(access));
  }

  onDisconnect(listener: DisconnectListener): void {
    this.onDisconnectListeners.push(listener);
  }

  onRevived(listener: RevivedListener): void {
    this.onRevivedListeners.push(listener);
  }

  /** Told on the replica whose call was refused; everywhere else the connection's status says it. */
  onInvalidated(listener: InvalidatedListener): void {
    this.onInvalidatedListeners.push(listener);
  }

  /**
   * Asks Klaviyo whose key this is and what it may read, then keeps it sealed. Nothing is stored when Klaviyo
   * refuses the key or the key may not read its account.
   */
  async connect(scope: UserScope, input: ConnectInput): Promise<Connected> {
    const { userId } = scope;
    const named = input.connectionId === undefined ? undefined : await this.resolve(scope, input.connectionId);
    const { account, capabilities } = await this.examine(userId, input.privateApiKey);
    if (named && named.accountId !== account.accountId) throw invalid('privateApiKey', 'otherAccount');
    const existing = await this.connections.byAccount(userId, account.accountId);
    const stored: StoredAccount = { ...account, capabilities: capabilitiesFrom(capabilities, existing?.capabilities) };
    const { id, created } = await this.db.inTransaction(userId, async () => {
      await this.connections.lockUser(userId);
      const known = await this.connections.byAccount(userId, account.accountId);
      const connectionId = known?.id ?? uuidv7();
      const key = await this.sealKey(userId, connectionId, input.privateApiKey);
      if (known) await this.connections.replaceKey(userId, connectionId, stored, key, input.label);
      else
        await this.connections.insert(userId, connectionId, stored, key, {
          label: input.label ?? null,
          isDefault: false,
        });
      if (input.isDefault === true) await this.connections.makeDefault(userId, connectionId);
      await this.connections.promoteOldest(userId);
      return { id: connectionId, created: !known };
    });
    if (!created) await this.revived(userId, id);
    const connection = await this.resolve(scope, id);
    return { connection, created, warnings: warningsOf(input, connection) };
  }

  /** All connections of the user, oldest first. With `validate`, Klaviyo is asked again (at most once a minute each). */
  async list(scope: UserScope, validate: boolean): Promise<Connection[]> {
    const rows = await this.connections.all(scope.userId);
    if (!validate || rows.length === 0) return rows;
    await Promise.all(rows.map((row) => this.validate(scope.userId, row)));
    return this.connections.all(scope.userId);
  }

  /** Erases key and mirror here at once; never waits for Klaviyo. Without an id: everything of the user. */
  async disconnect(
    scope: UserScope,
    connectionId: string | undefined,
  ): Promise<{ disconnected: number; discardedEvents: number }> {
    const { userId } = scope;
    return this.db.inTransaction(userId, async () => {
      await this.connections.lockUser(userId);
      const rows = (await this.connections.all(userId)).filter(
        (row) => connectionId === undefined || row.id === connectionId,
      );
      if (rows.length === 0) throw new AppError('CONNECTION_NOT_FOUND');
      const ids = rows.map((row) => row.id);
      let discardedEvents = 0;
      for (const listener of this.onDisconnectListeners) discardedEvents += await listener(userId, ids);
      const removed = await this.connections.remove(userId, ids);
      await this.connections.promoteOldest(userId);
      await this.idempotency.removeAll(userId);
      for (const row of rows) this.openedKeys.forget(row.id, row.keyVersion);
      return { disconnected: removed.length, discardedEvents };
    });
  }

  /**
   * Changes label, default, or the key (which must belong to the same Klaviyo account). A `connectionId` in the body
   * is resolved like everywhere, and must be the one of the path.
   */
  async update(
    scope: UserScope,
    connectionId: string,
    change: { connectionId?: string; label?: string | null; isDefault?: true; privateApiKey?: string },
  ): Promise<Connection> {
    const { userId } = scope;
    const named = change.connectionId === undefined ? undefined : await this.resolve(scope, change.connectionId);
    const before = await this.resolve(scope, connectionId);
    if (named && named.id !== before.id) throw invalid('connectionId', 'notOneOf', { values: before.id });
    const { privateApiKey } = change;
    const examined = privateApiKey === undefined ? undefined : await this.examine(userId, privateApiKey);
    if (examined && examined.account.accountId !== before.accountId) throw invalid('privateApiKey', 'otherAccount');
    await this.db.inTransaction(userId, async () => {
      await this.connections.lockUser(userId);
      if (examined && privateApiKey !== undefined) {
        const stored = {
          ...examined.account,
          capabilities: capabilitiesFrom(examined.capabilities, before.capabilities),
        };
        const key = await this.sealKey(userId, connectionId, privateApiKey);
        await this.connections.replaceKey(userId, connectionId, stored, key, undefined);
      }
      if (change.label !== undefined) await this.connections.setLabel(userId, connectionId, change.label);
      if (change.isDefault === true) await this.connections.makeDefault(userId, connectionId);
    });
    if (examined) await this.revived(userId, connectionId);
    return this.resolve(scope, connectionId);
  }

  /**
   * The connection that a call is about: the given one, else the user's default.
   * @throws AppError CONNECTION_NOT_FOUND; a foreign id answers exactly like an unknown one.
   */
  async resolve(scope: Pick<UserScope, 'userId'>, connectionId?: string): Promise<Connection> {
    const connection = await this.connections.one(scope.userId, connectionId);
    if (!connection) throw new AppError('CONNECTION_NOT_FOUND');
    const context = currentContext();
    if (context) context.connectionId = connection.id;
    return connection;
  }

  /**
   * Access to the account for one call or job.
   * @throws AppError CONNECTION_NOT_FOUND; KLAVIYO_KEY_INVALID, without asking Klaviyo, once the key was refused.
   */
  async accessFor(scope: Pick<UserScope, 'userId'>, connectionId?: string): Promise<KlaviyoAccess> {
    return this.accessOf(await this.resolve(scope, connectionId));
  }

  /** As `accessFor`, for a connection already at hand. */
  async accessOf(connection: Connection): Promise<KlaviyoAccess> {
    if (connection.status === 'invalid') throw new AppError('KLAVIYO_KEY_INVALID');
    return this.open(connection);
  }

  private async open(connection: Connection): Promise<KlaviyoAccess> {
    const known = this.openedKeys.get(connection.id, connection.keyVersion);
    if (known) return known;
    const userId = Number(connection.userId);
    const privateKey = await this.encryption.open(connection.sealedKey, sealContext(userId, connection.id));
    const access = new KlaviyoAccess({
      userId,
      connectionId: connection.id,
      accountId: connection.accountId,
      privateKey,
    });
    this.versions.set(access, connection.keyVersion);
    this.openedKeys.keep(connection.id, connection.keyVersion, access);
    return access;
  }

  /** Remembers what a first write showed about the key. */
  async noteWrite(access: KlaviyoAccess, area: Area, outcome: Capability): Promise<void> {
    await this.connections.setWriteCapability(access.userId, access.connectionId, area, outcome);
  }

  private async examine(
    userId: number,
    privateKey: string,
  ): Promise<{ account: Account; capabilities: Partial<Record<Area, Capability>> }> {
    const probeId = uuidv7();
    const first = new KlaviyoAccess({ userId, connectionId: probeId, accountId: `key:${probeId}`, privateKey });
    const account = await this.atKlaviyo.account(first);
    const access = new KlaviyoAccess({ userId, connectionId: probeId, accountId: account.accountId, privateKey });
    return { account, capabilities: await this.atKlaviyo.readable(access) };
  }

  private async validate(userId: number, row: Connection): Promise<void> {
    if (!(await this.connections.claimValidation(userId, row.id))) return;
    try {
      // An invalid key is asked about too: Klaviyo may have taken it back.
      const access = await this.open(row);
      const account = await this.atKlaviyo.account(access);
      const readable = await this.atKlaviyo.readable(access);
      const stored = { ...account, capabilities: capabilitiesFrom(readable, row.capabilities) };
      await this.connections.validated(userId, row.id, row.keyVersion, stored);
      if (row.status === 'invalid') await this.revived(userId, row.id);
    } catch (error) {
      // A refused key was marked by keyRefused; anything else is no verdict and the last known state is answered.
      if (!(error instanceof AppError)) throw error;
      this.logger.warn({ msg: 'validation gave no verdict', code: error.code, connectionId: row.id });
    }
  }

  private async keyRefused(access: KlaviyoAccess): Promise<void> {
    const version = this.versions.get(access);
    if (version === undefined) return;
    const { userId, connectionId } = access;
    if (!(await this.connections.markInvalid(userId, connectionId, version))) return;
    this.logger.warn({ msg: 'Klaviyo refused the key', userId, connectionId });
    for (const listener of this.onInvalidatedListeners) listener(userId, connectionId);
  }

  private async revived(userId: number, connectionId: string): Promise<void> {
    for (const listener of this.onRevivedListeners) await listener(userId, connectionId);
  }

  private async sealKey(userId: number, connectionId: string, privateKey: string): Promise<StoredKey> {
    return {
      maskedKey: `pk_…${privateKey.slice(-4)}`,
      sealedKey: await this.encryption.seal(privateKey, sealContext(userId, connectionId)),
    };
  }
}

function warningsOf(input: ConnectInput, connection: Connection): ConnectWarning[] {
  const reads = Object.entries(connection.capabilities).filter(([area]) => area !== 'webhooks');
  const warnings: ConnectWarning[] = [];
  if (input.publicApiKey !== undefined && input.publicApiKey !== connection.publicApiKey)
    warnings.push('PUBLIC_KEY_MISMATCH');
  if (reads.some(([, { read }]) => read === 'scope_missing')) warnings.push('SCOPES_MISSING');
  if (connection.capabilities.webhooks.read !== 'ok' && connection.capabilities.webhooks.read !== 'unknown')
    warnings.push('WEBHOOKS_UNAVAILABLE');
  return warnings;
}
