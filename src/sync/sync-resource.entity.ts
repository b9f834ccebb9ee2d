import { Check, Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import type { PassKind, Resource } from '../mirror/resources';
import { SyncRun } from './sync-run.entity';

export type ResourceStatus = 'pending' | 'running' | 'succeeded' | 'failed' | 'skipped' | 'cancelled';

/** Calls by operation, and how many of them Klaviyo allows in a minute. */
export type RequestsByOperation = Record<string, { requests: number; steady: number }>;

/** What became of one resource of a run. Made by the engine when the run begins. */
@Entity('sync_resource')
@Check(
  'sync_resource_resource',
  `resource IN ('lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events')`,
)
@Check('sync_resource_status', `status IN ('pending', 'running', 'succeeded', 'failed', 'skipped', 'cancelled')`)
@Check('sync_resource_pass_kind', `pass_kind IN ('full', 'incremental')`)
export class SyncResource {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'sync_id', type: 'uuid' })
  syncId: string;

  @ManyToOne(() => SyncRun, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'sync_resource_run' },
    { name: 'sync_id', referencedColumnName: 'id', foreignKeyConstraintName: 'sync_resource_run' },
  ])
  run: SyncRun;

  @PrimaryColumn({ type: 'text' })
  resource: Resource;

  @Column({ type: 'text', default: 'pending' })
  status: ResourceStatus;

  @Column({ name: 'pass_kind', type: 'text', nullable: true })
  passKind: PassKind | null;

  /** By the database's clock: rows written since then were seen by the pass. */
  @Column({ name: 'pass_started_at', type: 'timestamptz', nullable: true })
  passStartedAt: Date | null;

  /** Whether its windows are made. */
  @Column({ type: 'boolean', default: false })
  planned: boolean;

  /** Whether it was decided that what the pass did not see is gone. */
  @Column({ type: 'boolean', default: false })
  sweeping: boolean;

  /** Rows that came from Klaviyo, overlaps of windows counted twice. */
  @Column({ type: 'bigint', default: 0 })
  fetched: string;

  /** Rows that were new or changed. */
  @Column({ type: 'bigint', default: 0 })
  upserted: string;

  /** Rows marked as gone. */
  @Column({ type: 'bigint', default: 0 })
  deleted: string;

  /** Rows that the database did not take. */
  @Column({ type: 'bigint', default: 0 })
  quarantined: string;

  @Column({ type: 'bigint', default: 0 })
  pages: string;

  /** Attempts sent to Klaviyo, repeated ones included. */
  @Column({ type: 'bigint', default: 0 })
  requests: string;

  /** 429s among them. */
  @Column({ type: 'bigint', default: 0 })
  throttled: string;

  /** Milliseconds of waiting for a slot of the quota, summed over windows that waited side by side. */
  @Column({ name: 'waited_ms', type: 'bigint', default: 0 })
  waitedMs: string;

  @Column({ name: 'requests_by_operation', type: 'jsonb', default: {} })
  requestsByOperation: RequestsByOperation;

  /** Rows that the mirror held before; null for what was never mirrored and for incremental passes. */
  @Column({ name: 'expected_rows', type: 'bigint', nullable: true })
  expectedRows: string | null;

  /** The part of its time axis or of its parts that is read, 0 to 1; null before anything is known. */
  @Column({ type: 'double precision', nullable: true })
  covered: number | null;

  /** Since when nothing but errors came; null while it goes on well. */
  @Column({ name: 'failing_since', type: 'timestamptz', nullable: true })
  failingSince: Date | null;

  @Column({ name: 'error_code', type: 'text', nullable: true })
  errorCode: string | null;

  @Column({ name: 'started_at', type: 'timestamptz', nullable: true })
  startedAt: Date | null;

  @Column({ name: 'finished_at', type: 'timestamptz', nullable: true })
  finishedAt: Date | null;
}
