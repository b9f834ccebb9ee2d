import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

export const RECEIVED_STATUSES = ['received', 'processed', 'failed', 'dead', 'quarantined'] as const;
export type ReceivedStatus = (typeof RECEIVED_STATUSES)[number];

/** What happened to an event outside the ordinary way. */
export interface TrailEntry {
  /** RFC 3339; absent where it is that of the delivery. */
  at?: string;
  what: 'processed' | 'failed' | 'dead' | 'replayed' | 'quarantined';
  /** A code; never a text of Klaviyo's. */
  error?: string;
}

/**
 * An event that Klaviyo told us of. One that takes the ordinary way is written once: without a status of its own its
 * state is that of its delivery. Without a foreign key: there may be many, and a disconnect must not wait for them.
 */
@Entity('received_event')
@Unique('received_event_once', ['userId', 'connectionId', 'externalId'])
@Check('received_event_status', `status IN ('received', 'processed', 'failed', 'dead', 'quarantined')`)
@Index('received_event_apart', ['userId', 'connectionId', 'status', 'id'], { where: 'status IS NOT NULL' })
@Index('received_event_due', ['userId', 'connectionId', 'nextAt'], { where: 'next_at IS NOT NULL' })
@Index('received_event_profile', ['connectionId', 'profileId', 'id'])
@Index('received_event_received', ['receivedAt'], { type: 'brin' })
export class ReceivedEvent {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  /** UUID v7: sorts by arrival. */
  @PrimaryColumn({ type: 'uuid' })
  id: string;

  /** Klaviyo's; for what came without one, `:` and a digest of what came. */
  @Column({ name: 'external_id', type: 'text', collation: 'C' })
  externalId: string;

  @Column({ name: 'webhook_id', type: 'uuid' })
  webhookId: string;

  @Column({ name: 'delivery_id', type: 'uuid' })
  deliveryId: string;

  @Column({ type: 'text' })
  topic: string;

  @Column({ name: 'metric_id', type: 'text', nullable: true })
  metricId: string | null;

  @Column({ name: 'profile_id', type: 'text', nullable: true, collation: 'C' })
  profileId: string | null;

  /** `event_properties` as Klaviyo gave them; of a malformed event the beginning of its text, as `raw`. */
  @Column({ type: 'jsonb' })
  properties: Record<string, unknown>;

  @Column({ name: 'occurred_at', type: 'timestamptz' })
  occurredAt: Date;

  @Column({ name: 'received_at', type: 'timestamptz', default: () => 'now()' })
  receivedAt: Date;

  @Column({ type: 'boolean', default: false })
  late: boolean;

  /** Null: as its delivery. */
  @Column({ type: 'text', nullable: true })
  status: ReceivedStatus | null;

  /** Of its own, beside those of its delivery. */
  @Column({ type: 'integer', default: 0 })
  attempts: number;

  @Column({ name: 'last_error', type: 'text', nullable: true })
  lastError: string | null;

  /** When it is tried again by itself. */
  @Column({ name: 'next_at', type: 'timestamptz', nullable: true })
  nextAt: Date | null;

  @Column({ type: 'jsonb', nullable: true })
  trail: TrailEntry[] | null;
}
