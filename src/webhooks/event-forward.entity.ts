import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';

export const FORWARD_STATUSES = ['waiting', 'delivered', 'dead'] as const;
export type ForwardStatus = (typeof FORWARD_STATUSES)[number];

/** A received event that is passed on, or was. Without a foreign key: there may be many, and they end with retention. */
@Entity('event_forward')
@Check('event_forward_status', `status IN ('waiting', 'delivered', 'dead')`)
@Index('event_forward_due', ['userId', 'connectionId', 'nextAt', 'sequence'], { where: `status = 'waiting'` })
@Index('event_forward_order', ['userId', 'connectionId', 'profileId', 'sequence'], { where: `status = 'waiting'` })
@Index('event_forward_dead', ['userId', 'connectionId'], { where: `status = 'dead'` })
@Index('event_forward_planned', ['plannedAt'], { type: 'brin' })
export class EventForward {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  /** The received event. */
  @PrimaryColumn({ name: 'event_id', type: 'uuid' })
  eventId: string;

  /** Events of one profile go in order; null: of nobody. */
  @Column({ name: 'profile_id', type: 'text', nullable: true })
  profileId: string | null;

  /** Grows from event to event. */
  @Column({ type: 'bigint' })
  sequence: string;

  @Column({ type: 'text' })
  status: ForwardStatus;

  @Column({ type: 'integer', default: 0 })
  attempts: number;

  /** Why the last attempt failed: a status or a code, never the address. */
  @Column({ name: 'last_error', type: 'text', nullable: true })
  lastError: string | null;

  @Column({ name: 'planned_at', type: 'timestamptz', default: () => 'now()' })
  plannedAt: Date;

  @Column({ name: 'first_failed_at', type: 'timestamptz', nullable: true })
  firstFailedAt: Date | null;

  /** While waiting: not before; while somebody has the lease: when it ends. */
  @Column({ name: 'next_at', type: 'timestamptz', default: () => 'now()' })
  nextAt: Date;

  @Column({ type: 'uuid', nullable: true })
  lease: string | null;

  /** When it was delivered or given up. */
  @Column({ name: 'settled_at', type: 'timestamptz', nullable: true })
  settledAt: Date | null;
}
