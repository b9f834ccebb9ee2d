import { Check, Column, Entity, PrimaryColumn } from 'typeorm';
import type { Resource } from './resources';

/** How far the mirror of one resource of one connection has come. */
@Entity('mirror_state')
@Check(
  'mirror_state_resource',
  `resource IN ('lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events')`,
)
export class MirrorState {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ type: 'text' })
  resource: Resource;

  /** When the last complete full pass began: before it there is no mirror to read from. */
  @Column({ name: 'complete_at', type: 'timestamptz' })
  completeAt: Date;

  /** When the last complete pass of any kind began: what Klaviyo held then is here. */
  @Column({ name: 'synced_at', type: 'timestamptz' })
  syncedAt: Date;

  /** Up to where on the resource's time axis everything was read; never later than the pass that says so. */
  @Column({ name: 'high_water', type: 'timestamptz', nullable: true })
  highWater: Date | null;

  /** When a pass last looked for what comes late. */
  @Column({ name: 'reconciled_at', type: 'timestamptz', nullable: true })
  reconciledAt: Date | null;

  /** Rows not marked as gone when that pass ended. */
  @Column({ name: 'live_rows', type: 'bigint', default: 0 })
  liveRows: string;

  /** Unseen rows that a pass did not dare to mark as gone; a second pass that finds the same does. */
  @Column({ name: 'doubted_rows', type: 'bigint', nullable: true })
  doubtedRows: string | null;
}
