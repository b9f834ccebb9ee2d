import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { KlaviyoUsage, type OperationUsage } from '../klaviyo/klaviyo-usage';
import { ConnectionService } from './connection.service';

/** How the quota of a connection's Klaviyo account stands. */
@Injectable()
export class UsageService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly klaviyo: KlaviyoUsage,
  ) {}

  /** @throws AppError CONNECTION_NOT_FOUND, also for another user's */
  async of(scope: UserScope, connectionId: string): Promise<OperationUsage[]> {
    const connection = await this.connections.resolve(scope, connectionId);
    return this.klaviyo.of(scope.userId, connection.id, connection.accountId);
  }
}
