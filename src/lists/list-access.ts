import { Injectable, Logger } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError } from '../common/errors';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';

/** The account whose lists are written. */
export interface ListAccount {
  connectionId: string;
  klaviyo: KlaviyoAccess;
  /** Runs a write and remembers, for the connection's capabilities, that the key may or may not do it. */
  writing<T>(work: () => Promise<T>): Promise<T>;
}

/** Opens the user's Klaviyo account for writes to lists. */
@Injectable()
export class ListAccess {
  private readonly logger = new Logger('Lists');

  constructor(private readonly connections: ConnectionService) {}

  /** @throws AppError CONNECTION_NOT_FOUND, KLAVIYO_KEY_INVALID */
  async open(scope: UserScope, connectionId: string | undefined): Promise<ListAccount> {
    const connection = await this.connections.resolve(scope, connectionId);
    const klaviyo = await this.connections.accessOf(connection);
    return {
      connectionId: connection.id,
      klaviyo,
      writing: async (work) => {
        try {
          const done = await work();
          await this.note(connection, klaviyo, 'ok');
          return done;
        } catch (error) {
          if (error instanceof AppError && error.code === 'KLAVIYO_SCOPE_MISSING')
            await this.note(connection, klaviyo, 'scope_missing');
          throw error;
        }
      },
    };
  }

  /** What Klaviyo has done is not undone because the note about it could not be kept. */
  async kept(what: string, connectionId: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'a write to lists was not noted', what, connectionId, reason });
    }
  }

  private async note(connection: Connection, access: KlaviyoAccess, verdict: 'ok' | 'scope_missing'): Promise<void> {
    if (connection.capabilities.lists.write === verdict) return;
    await this.kept('capability', connection.id, () => this.connections.noteWrite(access, 'lists', verdict));
  }
}
