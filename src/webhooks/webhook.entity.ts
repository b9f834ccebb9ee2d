import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, Unique } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** `push`: Klaviyo sends events to our receiver; `poll`: we read them from Klaviyo. */
export const DELIVERIES = ['push', 'poll'] as const;
export type Delivery = (typeof DELIVERIES)[number];
export const WEBHOOK_STATUSES = ['active', 'disabled', 'error'] as const;
export type WebhookStatus = (typeof WEBHOOK_STATUSES)[number];

/** Why the events of a webhook that Klaviyo sends are read: it sent none, we were away, or it was off. */
export type ReadReason = 'silent' | 'away' | 'off';

/** A secret that held before the previous one, while deliveries may still be signed with it. */
interface OlderSecret {
  sealed: string;
  /** ISO instant. */
  until: string;
}

/** Where the reading of a window of events from Klaviyo stands. */
export interface ReadProgress {
  /** ISO instants: inclusive, exclusive. */
  from: string;
  to: string;
  /** Whether it looks for what comes late. */
  deep: boolean;
  /** Chains of pages that are left, each of one metric or (null) of all; the first is under way. */
  chains: (string | null)[];
  /** Its next page. */
  next: string | null;
  /** Events that nobody had brought before. */
  found: number;
}

/** A user's wish to have events of some topics, and how they come. */
@Entity('webhook')
@Unique('webhook_once', ['connectionId', 'klaviyoWebhookId'])
@Check('webhook_delivery_kind', `delivery IN ('push', 'poll')`)
@Check('webhook_status', `status IN ('active', 'disabled', 'error')`)
@Check('webhook_read_reason', `read_reason IN ('silent', 'away', 'off')`)
@Index('webhook_at_klaviyo', ['klaviyoWebhookId'], { where: 'klaviyo_webhook_id IS NOT NULL' })
@Index('webhook_to_read', ['readAt'], { where: 'read_at IS NOT NULL' })
export class Webhook {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  /** UUID v7. */
  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  /** Null for `poll`. */
  @Column({ name: 'klaviyo_webhook_id', type: 'text', nullable: true })
  klaviyoWebhookId: string | null;

  @Column({ type: 'text' })
  name: string;

  @Column({ type: 'text', nullable: true })
  description: string | null;

  @Column({ type: 'text', array: true })
  topics: string[];

  /** Whether topics that the account gets later belong to it, too. */
  @Column({ name: 'all_topics', type: 'boolean', default: false })
  allTopics: boolean;

  @Column({ type: 'text' })
  delivery: Delivery;

  /** What the user wants; `status` is what is. */
  @Column({ type: 'boolean', default: true })
  enabled: boolean;

  @Column({ type: 'text' })
  status: WebhookStatus;

  /** Our own copy: Klaviyo shows it masked. Null for `poll`. */
  @Column({ name: 'endpoint_url', type: 'text', nullable: true })
  endpointUrl: string | null;

  /** A JWE bound to this user and webhook. Null for `poll`. */
  @Column({ name: 'sealed_secret', type: 'text', nullable: true })
  sealedSecret: string | null;

  /** The one before, while deliveries may still be signed with it. */
  @Column({ name: 'sealed_previous_secret', type: 'text', nullable: true })
  sealedPreviousSecret: string | null;

  @Column({ name: 'previous_until', type: 'timestamptz', nullable: true })
  previousUntil: Date | null;

  /** Those before that one. */
  @Column({ name: 'older_secrets', type: 'jsonb', default: [] })
  olderSecrets: OlderSecret[];

  /** False while it is not known which of the two secrets Klaviyo signs with: both hold until then. */
  @Column({ name: 'secret_confirmed', type: 'boolean', default: true })
  secretConfirmed: boolean;

  /** Counts the secrets that it has had. */
  @Column({ name: 'secret_version', type: 'integer', default: 1 })
  secretVersion: number;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt: Date;

  /** When its health was last looked at, to the end. */
  @Column({ name: 'checked_at', type: 'timestamptz', nullable: true })
  checkedAt: Date | null;

  /** While somebody looks at it, or after that failed: not before then again. */
  @Column({ name: 'check_until', type: 'timestamptz', nullable: true })
  checkUntil: Date | null;

  /** Since when its events are wanted: what happened before it was made, or before it was switched on again, is not. */
  @Column({ name: 'reads_from', type: 'timestamptz', default: () => 'now()' })
  readsFrom: Date;

  /** Up to here its events are known to be here, by reading. */
  @Column({ name: 'read_from', type: 'timestamptz', default: () => 'now()' })
  readFrom: Date;

  /** Where a gap that is being filled ends; null for `poll`, which reads up to now. */
  @Column({ name: 'read_until', type: 'timestamptz', nullable: true })
  readUntil: Date | null;

  /** Null where no gap is being filled. */
  @Column({ name: 'read_reason', type: 'text', nullable: true })
  readReason: ReadReason | null;

  @Column({ name: 'read_progress', type: 'jsonb', nullable: true })
  readProgress: ReadProgress | null;

  /** When events are to be read next, or, while somebody reads, when their lease ends; null: nothing to read. */
  @Column({ name: 'read_at', type: 'timestamptz', nullable: true })
  readAt: Date | null;

  @Column({ name: 'read_lease', type: 'uuid', nullable: true })
  readLease: string | null;

  @Column({ name: 'read_failures', type: 'integer', default: 0 })
  readFailures: number;

  /** When events that come late were last looked for. */
  @Column({ name: 'looked_back_at', type: 'timestamptz', default: () => 'now()' })
  lookedBackAt: Date;

  /** Rows go with their connection. Never loaded. */
  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'webhook_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'webhook_connection' },
  ])
  connection?: Connection;
}
