import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';
import type { Capabilities } from './capabilities';

export type ConnectionStatus = 'active' | 'invalid';

/** A user's Klaviyo account and its sealed private key. */
@Entity('connection')
@Unique('connection_once_an_account', ['userId', 'accountId'])
@Check('connection_status', `status IN ('active', 'invalid')`)
@Index('connection_one_default', ['userId'], { unique: true, where: 'is_default' })
@Index('connection_by_account', ['accountId'])
export class Connection {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  /** Klaviyo's account id: all keys of one account share its quota. */
  @Column({ name: 'account_id', type: 'text' })
  accountId: string;

  @Column({ name: 'account_name', type: 'text', nullable: true })
  accountName: string | null;

  @Column({ name: 'public_api_key', type: 'text', nullable: true })
  publicApiKey: string | null;

  @Column({ type: 'text', nullable: true })
  label: string | null;

  @Column({ name: 'is_default', type: 'boolean' })
  isDefault: boolean;

  @Column({ type: 'text' })
  status: ConnectionStatus;

  /** `pk_…` and the last four characters. */
  @Column({ name: 'masked_key', type: 'text' })
  maskedKey: string;

  /** A JWE bound to this user and connection. */
  @Column({ name: 'sealed_key', type: 'text' })
  sealedKey: string;

  /** Counts the keys that this connection has had: a late refusal of an old key does not touch the new one. */
  @Column({ name: 'key_version', type: 'integer', default: 1 })
  keyVersion: number;

  @Column({ type: 'jsonb' })
  capabilities: Capabilities;

  @Column({ type: 'text', nullable: true })
  currency: string | null;

  @Column({ type: 'text', nullable: true })
  timezone: string | null;

  @Column({ name: 'connected_at', type: 'timestamptz', default: () => 'now()' })
  connectedAt: Date;

  @Column({ name: 'last_validated_at', type: 'timestamptz', nullable: true })
  lastValidatedAt: Date | null;

  @Column({ name: 'validation_started_at', type: 'timestamptz', nullable: true })
  validationStartedAt: Date | null;
}
