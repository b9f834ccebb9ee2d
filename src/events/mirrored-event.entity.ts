import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/**
 * An event of the account as Klaviyo showed it. No foreign key: it would cost a trigger a row, and a disconnect must
 * not wait for a million deletes. Rows of a connection that is gone are out of reach and removed in chunks.
 */
@Entity('mirrored_event')
@Index('mirrored_event_timeline', ['connectionId', 'profileId', 'occurredAt', 'klaviyoId'])
export class MirroredEvent {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  /** Klaviyo's id; null where Klaviyo does not say. */
  @Column({ name: 'metric_id', type: 'text', collation: 'C', nullable: true })
  metricId: string | null;

  /** Klaviyo's id of the person it belongs to now: a merge moves it. */
  @Column({ name: 'profile_id', type: 'text', collation: 'C', nullable: true })
  profileId: string | null;

  /** To the second, as Klaviyo keeps it; many events share one. */
  @Column({ name: 'occurred_at', type: 'timestamptz' })
  occurredAt: Date;

  /** Klaviyo's `$value`, where it is a number. */
  @Column({ type: 'double precision', nullable: true })
  value: number | null;

  /** `{ attributes }` as Klaviyo gave them, `event_properties` among them; what it is related to stands in the columns. */
  @Column({ type: 'jsonb' })
  document: object;

  /** When it was last seen. Without an index, so that seeing a row again rewrites none. */
  @Column({ name: 'synced_at', type: 'timestamptz' })
  syncedAt: Date;

  /** When it was first seen, or last seen to be another. */
  @Column({ name: 'changed_at', type: 'timestamptz' })
  changedAt: Date;

  /** Since when Klaviyo shows it no more. */
  @Column({ name: 'deleted_at', type: 'timestamptz', nullable: true })
  deletedAt: Date | null;
}
