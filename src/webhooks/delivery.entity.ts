import { Check, Column, Entity, Index, PrimaryColumn, Unique } from 'typeorm';

/** `push`: Klaviyo sent it; `poll`: read from Klaviyo in place of that; `backfill`: read to fill a gap. */
export const DELIVERY_SOURCES = ['push', 'poll', 'backfill'] as const;
export type DeliverySource = (typeof DELIVERY_SOURCES)[number];

/**
 * Events that arrived together: what remembers a delivery, and the queue of what is to be worked off. Without a foreign
 * key: there may be many, and a disconnect must not wait for them.
 */
@Entity('webhook_delivery')
@Unique('webhook_delivery_once', ['userId', 'connectionId', 'digest'])
@Check('webhook_delivery_source', `source IN ('push', 'poll', 'backfill')`)
@Index('webhook_delivery_due', ['userId', 'connectionId', 'id'], { where: 'processed_at IS NULL' })
@Index('webhook_delivery_webhook', ['userId', 'connectionId', 'webhookId', 'id'])
@Index('webhook_delivery_received', ['receivedAt'], { type: 'brin' })
export class WebhookDelivery {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  /** UUID v7: sorts by arrival. */
  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ name: 'webhook_id', type: 'uuid' })
  webhookId: string;

  @Column({ type: 'text' })
  source: DeliverySource;

  /** By which the same delivery is known again; null for what was read. */
  @Column({ type: 'bytea', nullable: true })
  digest: Buffer | null;

  /** Its signed time was older than the tolerance. */
  @Column({ type: 'boolean', default: false })
  late: boolean;

  @Column({ name: 'received_at', type: 'timestamptz', default: () => 'now()' })
  receivedAt: Date;

  /** Events in it, known and malformed ones included. */
  @Column({ type: 'integer' })
  events: number;

  /** Of them, malformed ones. */
  @Column({ type: 'integer', default: 0 })
  malformed: number;

  /** How often the same delivery came again. */
  @Column({ type: 'integer', default: 0 })
  repeats: number;

  /** Between these lie its events. Null where it had none. */
  @Column({ name: 'first_event_id', type: 'uuid', nullable: true })
  firstEventId: string | null;

  @Column({ name: 'last_event_id', type: 'uuid', nullable: true })
  lastEventId: string | null;

  /** Times that working it off failed as a whole. */
  @Column({ type: 'integer', default: 0 })
  attempts: number;

  @Column({ name: 'last_error', type: 'text', nullable: true })
  lastError: string | null;

  @Column({ name: 'next_at', type: 'timestamptz', default: () => 'now()' })
  nextAt: Date;

  /** When it was worked off: then each of its events is processed, or says itself what else it is. */
  @Column({ name: 'processed_at', type: 'timestamptz', nullable: true })
  processedAt: Date | null;
}
