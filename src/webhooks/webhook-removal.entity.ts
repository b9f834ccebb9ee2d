import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * A webhook that must not stay at Klaviyo: one that was removed here, or one whose creation may or may not have
 * happened. Outlives its connection, by days at most.
 */
@Entity('webhook_removal')
@Index('webhook_removal_due', ['dueAt'])
export class WebhookRemoval {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'webhook_id', type: 'uuid' })
  webhookId: string;

  @Column({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @Column({ name: 'account_id', type: 'text' })
  accountId: string;

  /** Null: a creation whose outcome is unknown; found at Klaviyo by our reference in its description. */
  @Column({ name: 'klaviyo_webhook_id', type: 'text', nullable: true })
  klaviyoWebhookId: string | null;

  /** The key of a connection that is gone, sealed to this row and erased with it; null while the connection is there. */
  @Column({ name: 'sealed_key', type: 'text', nullable: true })
  sealedKey: string | null;

  @Column({ name: 'due_at', type: 'timestamptz' })
  dueAt: Date;

  /** After this it is given up, and the key erased. */
  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt: Date;

  @Column({ type: 'integer', default: 0 })
  attempts: number;

  @Column({ type: 'uuid', nullable: true })
  lease: string | null;
}
