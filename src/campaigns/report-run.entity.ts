import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** Where the report of a window stands: when it was last had, who is asking for it now, who waits for it. */
@Entity('report_run')
export class ReportRun {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'report_run_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'report_run_connection' },
  ])
  connection: Connection;

  /** `recent`, or a calendar year. */
  @PrimaryColumn({ name: 'report_window', type: 'text' })
  reportWindow: string;

  /** Set while a caller waits for newer figures: the job's list of what is left to do. */
  @Column({ name: 'requested_at', type: 'timestamptz', nullable: true })
  requestedAt: Date | null;

  /** Until then one call or job has it to itself. */
  @Column({ name: 'leased_until', type: 'timestamptz', nullable: true })
  leasedUntil: Date | null;

  /** When the report under way (or the last one) was begun: the end of its window, and the time of its figures. */
  @Column({ name: 'begun_at', type: 'timestamptz', nullable: true })
  begunAt: Date | null;

  /** Klaviyo's cursor of the page of the report under way that comes next; null outside one of several pages. */
  @Column({ name: 'page_cursor', type: 'text', nullable: true })
  pageCursor: string | null;

  /** The conversion metric of the report under way, or of the last one. */
  @Column({ name: 'metric_id', type: 'text', nullable: true })
  metricId: string | null;

  /** When the last whole report was begun. */
  @Column({ name: 'computed_at', type: 'timestamptz', nullable: true })
  computedAt: Date | null;
}
