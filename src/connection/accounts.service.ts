import { Injectable, Logger } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError } from '../common/errors';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { Area } from './capabilities';
import type { Connection } from './connection.entity';
import { ConnectionService } from './connection.service';

/** The account that one call works with, and what its writes show about the key. */
export interface OpenAccount {
  connectionId: string;
  klaviyo: KlaviyoAccess;
  /** Runs a write and remembers, for the connection's capabilities, that the key may or may not do it. */
  writing<T>(area: Area, work: () => Promise<T>): Promise<T>;
}

/** Opens a user's Klaviyo account for calls that write, and notes what comes of them without ever failing for it. */
@Injectable()
export class AccountsService {
  private readonly logger = new Logger('Connection');

  constructor(private readonly connections: ConnectionService) {}

  /** @throws AppError CONNECTION_NOT_FOUND, KLAVIYO_KEY_INVALID */
  async open(scope: UserScope, connectionId: string | undefined): Promise<OpenAccount> {
    const connection = await this.connections.resolve(scope, connectionId);
    const klaviyo = await this.connections.accessOf(connection);
    return {
      connectionId: connection.id,
      klaviyo,
      writing: async (area, work) => {
        try {
          const done = await work();
          await this.noteWrite(connection, klaviyo, area, 'ok');
          return done;
        } catch (error) {
          if (error instanceof AppError && error.code === 'KLAVIYO_SCOPE_MISSING')
            await this.noteWrite(connection, klaviyo, area, 'scope_missing');
          throw error;
        }
      },
    };
  }

  /** What the key may write is kept with the connection; only a change costs a statement. */
  async noteWrite(
    connection: Connection,
    access: KlaviyoAccess,
    area: Area,
    verdict: 'ok' | 'scope_missing',
  ): Promise<void> {
    if (connection.capabilities[area].write === verdict) return;
    await this.kept(`what the key may write of ${area}`, connection.id, async () => {
      await this.connections.noteWrite(access, area, verdict);
      connection.capabilities[area].write = verdict;
    });
  }

  /** Keeps a note of something that Klaviyo has done, which is not undone because the note could not be kept. */
  async kept(what: string, connectionId: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.logger.warn({ msg: 'what Klaviyo did was not noted', what, connectionId, err: error });
    }
  }
}
