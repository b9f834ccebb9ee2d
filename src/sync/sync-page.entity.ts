import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn, PrimaryGeneratedColumn } from 'typeorm';
import type { Resource } from '../mirror/resources';
import { SyncRun } from './sync-run.entity';

/** A line of a run's log: one page of Klaviyo's, written in the commit that stored its rows. */
@Entity('sync_page')
@Check(
  'sync_page_resource',
  `resource IN ('lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events')`,
)
@Index('sync_page_at', ['at'], { type: 'brin' })
export class SyncPage {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'sync_id', type: 'uuid' })
  syncId: string;

  @ManyToOne(() => SyncRun, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'sync_page_run' },
    { name: 'sync_id', referencedColumnName: 'id', foreignKeyConstraintName: 'sync_page_run' },
  ])
  run: SyncRun;

  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'ALWAYS' })
  n: string;

  @Column({ type: 'timestamptz', default: () => 'now()' })
  at: Date;

  @Column({ type: 'text' })
  resource: Resource;

  @Column({ type: 'text' })
  part: string;

  @Column({ name: 'window_no', type: 'integer' })
  windowNo: number;

  @Column({ type: 'integer' })
  rows: number;

  /**
   * Rows that were new or changed. Pages that arrive together are stored together, and counted at the last of them;
   * null at those before it.
   */
  @Column({ type: 'integer', nullable: true })
  upserted: number | null;

  /** Rows that the database did not take. */
  @Column({ type: 'integer', default: 0 })
  quarantined: number;

  /** Until it was there, waiting for quota included. */
  @Column({ type: 'integer' })
  ms: number;

  @Column({ name: 'waited_ms', type: 'integer' })
  waitedMs: number;
}
