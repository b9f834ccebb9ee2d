import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, Unique } from 'typeorm';
import { Connection } from '../connection/connection.entity';

export const EVENT_STATUSES = ['queued', 'sent', 'failed', 'dead', 'cancelled'] as const;
export type EventStatus = (typeof EVENT_STATUSES)[number];

/** An event that a caller gave us for Klaviyo: waiting to be delivered, or what became of it. */
@Entity('sent_event')
@Unique('sent_event_once', ['userId', 'connectionId', 'eventType', 'profileKey', 'uniqueId'])
@Check('sent_event_status', `status IN ('queued', 'sent', 'failed', 'dead', 'cancelled')`)
@Index('sent_event_due', ['userId', 'connectionId', 'nextAttemptAt'], { where: `status = 'queued'` })
@Index('sent_event_created', ['createdAt'], { type: 'brin' })
export class SentEvent {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  /** UUID v7: sorts by the time of acceptance. */
  @PrimaryColumn({ type: 'uuid' })
  id: string;

  /** The name of Klaviyo's metric. */
  @Column({ name: 'event_type', type: 'text' })
  eventType: string;

  /** What Klaviyo and we recognise a repetition by, within profile and metric. */
  @Column({ name: 'unique_id', type: 'text' })
  uniqueId: string;

  /** A keyed fingerprint of the profile's identifiers: equal for the same person, readable for nobody. */
  @Column({ name: 'profile_key', type: 'text' })
  profileKey: string;

  @Column({ type: 'text' })
  status: EventStatus;

  /** JWE of the profile's identifiers, bound to this row. */
  @Column({ name: 'sealed_profile', type: 'text' })
  sealedProfile: string;

  /** JWE of the event's data, bound to this row; null once Klaviyo has it. */
  @Column({ name: 'sealed_payload', type: 'text', nullable: true })
  sealedPayload: string | null;

  /** When it happened, to the second. */
  @Column({ type: 'timestamptz' })
  time: Date;

  @Column({ type: 'double precision', nullable: true })
  value: number | null;

  @Column({ type: 'text', nullable: true })
  currency: string | null;

  /** Times it was offered to Klaviyo. */
  @Column({ type: 'integer', default: 0 })
  attempts: number;

  /** The code of the last failure; null once sent. */
  @Column({ name: 'last_error', type: 'text', nullable: true })
  lastError: string | null;

  /** While queued: not before. While somebody holds the lease: when the lease ends. */
  @Column({ name: 'next_attempt_at', type: 'timestamptz' })
  nextAttemptAt: Date;

  /** Of whoever is sending it now; a settlement under an older one counts only if it says "sent". */
  @Column({ type: 'uuid', nullable: true })
  lease: string | null;

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt: Date;

  @Column({ name: 'sent_at', type: 'timestamptz', nullable: true })
  sentAt: Date | null;

  /** After this no further attempt is planned. */
  @Column({ name: 'expires_at', type: 'timestamptz' })
  expiresAt: Date;

  /** Rows go with their connection. Never loaded. */
  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'sent_event_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'sent_event_connection' },
  ])
  connection?: Connection;
}
