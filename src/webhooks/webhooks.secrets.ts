import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { EncryptionService } from '../encryption/encryption.service';

const PURPOSE = 'webhook-secret';
const BYTES = 32;

/** Makes, seals and opens the secrets that Klaviyo signs deliveries with, each bound to its user and webhook. */
@Injectable()
export class WebhookSecrets {
  constructor(private readonly encryption: EncryptionService) {}

  /** 43 characters of base64url: 256 random bits. */
  make(): string {
    return randomBytes(BYTES).toString('base64url');
  }

  seal(userId: number, webhookId: string, secret: string): Promise<string> {
    return this.encryption.seal(secret, contextOf(userId, webhookId));
  }

  /** @throws SealError when it was tampered with, belongs to another webhook, or its key is not in the ring */
  open(userId: number, webhookId: string, sealed: string): Promise<string> {
    return this.encryption.open(sealed, contextOf(userId, webhookId));
  }
}

function contextOf(userId: number, webhookId: string): { owner: string; purpose: string } {
  return { owner: `user:${userId}/webhook:${webhookId}`, purpose: PURPOSE };
}
