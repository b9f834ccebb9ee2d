import type { SealContext } from '../encryption/encryption.service';

/** What a connection's private key is sealed to. */
export function sealContext(userId: number, connectionId: string): SealContext {
  return { owner: `user:${userId}/connection:${connectionId}`, purpose: 'klaviyo-private-key' };
}
