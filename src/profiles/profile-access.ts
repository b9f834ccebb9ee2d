import { Injectable, Logger } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError } from '../common/errors';
import { ConnectionService } from '../connection/connection.service';
import type { Connection } from '../connection/connection.entity';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';

type Area = Parameters<ConnectionService['noteWrite']>[1];
type Verdict = 'ok' | 'scope_missing';

/** The account that one call works with, and what its writes show about the key. */
export interface Account {
  connectionId: string;
  klaviyo: KlaviyoAccess;
  /** Runs a write and remembers, for the connection's capabilities, that the key may or may not do it. */
  writing<T>(area: Area, work: () => Promise<T>): Promise<T>;
}

/** Opens the user's Klaviyo account for calls about people. */
@Injectable()
export class ProfileAccess {
  private readonly logger = new Logger('Profiles');

  constructor(private readonly connections: ConnectionService) {}

  /** @throws AppError CONNECTION_NOT_FOUND, KLAVIYO_KEY_INVALID */
  async open(scope: UserScope, connectionId: string | undefined): Promise<Account> {
    const connection = await this.connections.resolve(scope, connectionId);
    const klaviyo = await this.connections.accessOf(connection);
    return {
      connectionId: connection.id,
      klaviyo,
      writing: (area, work) => this.writing(connection, klaviyo, area, work),
    };
  }

  /** A connection that is named is always resolved. @throws AppError CONNECTION_NOT_FOUND */
  async check(scope: UserScope, connectionId: string | undefined): Promise<void> {
    if (connectionId !== undefined) await this.connections.resolve(scope, connectionId);
  }

  private async writing<T>(
    connection: Connection,
    access: KlaviyoAccess,
    area: Area,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      const done = await work();
      await this.note(connection, access, area, 'ok');
      return done;
    } catch (error) {
      if (error instanceof AppError && error.code === 'KLAVIYO_SCOPE_MISSING')
        await this.note(connection, access, area, 'scope_missing');
      throw error;
    }
  }

  /** What Klaviyo has done is not undone because the note about it could not be kept. */
  private async note(connection: Connection, access: KlaviyoAccess, area: Area, verdict: Verdict): Promise<void> {
    if (connection.capabilities[area].write === verdict) return;
    try {
      await this.connections.noteWrite(access, area, verdict);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'capability not noted', connectionId: connection.id, area, reason });
    }
  }
}
