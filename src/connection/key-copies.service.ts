import { Injectable } from '@nestjs/common';
import { EncryptionService, SealError, type SealContext } from '../encryption/encryption.service';
import { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { ConnectionRepository } from './connection.repository';
import { sealContext } from './sealed-key';

const PURPOSE = 'klaviyo-key-for-removal';

/**
 * Lends a key beyond the life of its connection, for what must still be removed at Klaviyo: a copy sealed to whoever
 * keeps it, who erases it when that is done or given up.
 */
@Injectable()
export class KeyCopiesService {
  constructor(
    private readonly connections: ConnectionRepository,
    private readonly encryption: EncryptionService,
  ) {}

  /** @returns undefined where there is no connection, Klaviyo refuses its key or it does not open: a copy would serve nobody */
  async copy(userId: number, connectionId: string, holder: string): Promise<string | undefined> {
    const connection = await this.connections.one(userId, connectionId);
    if (connection?.status !== 'active') return undefined;
    try {
      const key = await this.encryption.open(connection.sealedKey, sealContext(userId, connectionId));
      return await this.encryption.seal(key, contextOf(userId, holder));
    } catch (error) {
      // A key that nobody can read any more must not keep its connection from going.
      if (error instanceof SealError) return undefined;
      throw error;
    }
  }

  /** @throws SealError when it was tampered with, belongs to another holder, or its key is not in the ring */
  async accessOf(
    whose: { userId: number; connectionId: string; accountId: string },
    holder: string,
    copy: string,
  ): Promise<KlaviyoAccess> {
    const privateKey = await this.encryption.open(copy, contextOf(whose.userId, holder));
    return new KlaviyoAccess({ ...whose, privateKey });
  }
}

function contextOf(userId: number, holder: string): SealContext {
  return { owner: `user:${userId}/${holder}`, purpose: PURPOSE };
}
