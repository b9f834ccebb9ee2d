import { Check, Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import type { Resource } from '../mirror/resources';
import { SyncRun } from './sync-run.entity';

export type WindowStatus = 'open' | 'done' | 'gone';

/** A stretch of a part that is read page after page, beside others. Rows and the place in them are one commit. */
@Entity('sync_window')
@Check(
  'sync_window_resource',
  `resource IN ('lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events')`,
)
@Check('sync_window_status', `status IN ('open', 'done', 'gone')`)
export class SyncWindow {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'sync_id', type: 'uuid' })
  syncId: string;

  @ManyToOne(() => SyncRun, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'sync_window_run' },
    { name: 'sync_id', referencedColumnName: 'id', foreignKeyConstraintName: 'sync_window_run' },
  ])
  run: SyncRun;

  @PrimaryColumn({ type: 'text' })
  resource: Resource;

  @PrimaryColumn({ type: 'text' })
  part: string;

  @PrimaryColumn({ name: 'window_no', type: 'integer' })
  windowNo: number;

  @Column({ type: 'boolean' })
  divisible: boolean;

  /** Inclusive; null is open. */
  @Column({ name: 'span_from', type: 'timestamptz', nullable: true })
  spanFrom: Date | null;

  /** Exclusive; null is open. It moves nearer when another window takes the far part. */
  @Column({ name: 'span_to', type: 'timestamptz', nullable: true })
  spanTo: Date | null;

  /** Where the last row stored stands on the axis. */
  @Column({ type: 'timestamptz', nullable: true })
  position: Date | null;

  /** Klaviyo's word for the next page; null before the first. */
  @Column({ type: 'text', nullable: true })
  cursor: string | null;

  @Column({ type: 'text', default: 'open' })
  status: WindowStatus;

  @Column({ type: 'bigint', default: 0 })
  fetched: string;

  @Column({ type: 'bigint', default: 0 })
  pages: string;
}
