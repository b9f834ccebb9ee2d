import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { PassKind, Resource } from '../mirror/resources';

export const RUN_STATUSES = ['queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];
export type RunTrigger = 'api' | 'schedule' | 'webhook';

/** What a run is expected to cost, told before it begins. */
export interface SyncEstimate {
  /** Calls to Klaviyo; null for what was never mirrored before. */
  requests: number | null;
  /** Of the time that Klaviyo's limits alone make it take; null where `requests` is. */
  minutes: number | null;
  /** Of the calls that Klaviyo allows in those minutes on the busiest endpoint (0 to 1), the part that is used. */
  quotaShare: number | null;
}

/** A synchronisation of a connection, asked for, under way or ended. At most one runs and one waits for it. */
@Entity('sync_run')
@Check('sync_run_mode', `mode IN ('full', 'incremental')`)
@Check('sync_run_trigger', `trigger IN ('api', 'schedule', 'webhook')`)
@Check('sync_run_status', `status IN ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled')`)
@Index('sync_run_running', ['userId', 'connectionId'], { unique: true, where: `status = 'running'` })
@Index('sync_run_queued', ['userId', 'connectionId'], { unique: true, where: `status = 'queued'` })
@Index('sync_run_created', ['userId', 'connectionId', 'createdAt'])
export class SyncRun {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  @Column({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'sync_run_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'sync_run_connection' },
  ])
  connection: Connection;

  @Column({ type: 'text' })
  mode: PassKind;

  @Column({ type: 'text' })
  trigger: RunTrigger;

  @Column({ type: 'text', default: 'queued' })
  status: RunStatus;

  @Column({ type: 'text', array: true })
  resources: Resource[];

  @Column({ name: 'created_at', type: 'timestamptz', default: () => 'now()' })
  createdAt: Date;

  @Column({ name: 'started_at', type: 'timestamptz', nullable: true })
  startedAt: Date | null;

  @Column({ name: 'finished_at', type: 'timestamptz', nullable: true })
  finishedAt: Date | null;

  /** The engine looks for it between pages. */
  @Column({ name: 'cancel_requested_at', type: 'timestamptz', nullable: true })
  cancelRequestedAt: Date | null;

  /** Of the worker that has the run just now; every commit of a page asks whether it still does. */
  @Column({ type: 'uuid', nullable: true })
  lease: string | null;

  @Column({ name: 'leased_until', type: 'timestamptz', nullable: true })
  leasedUntil: Date | null;

  /** Why it failed as a whole; what a resource failed of stands with it. */
  @Column({ name: 'error_code', type: 'text', nullable: true })
  errorCode: string | null;

  @Column({ type: 'jsonb', nullable: true })
  estimate: SyncEstimate | null;

  /** Seconds that Klaviyo's limits alone made it take: the greatest, over operations, of requests over the steady limit. */
  @Column({ name: 'floor_seconds', type: 'double precision', nullable: true })
  floorSeconds: number | null;
}
