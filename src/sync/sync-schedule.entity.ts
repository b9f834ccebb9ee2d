import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** When a connection is synchronised by itself. Made for each connection while the service synchronises by itself. */
@Entity('sync_schedule')
@Check('sync_schedule_interval', 'interval_minutes > 0')
@Index('sync_schedule_due', ['nextRunAt'], { where: 'enabled' })
export class SyncSchedule {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'sync_schedule_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'sync_schedule_connection' },
  ])
  connection: Connection;

  @Column({ type: 'boolean', default: true })
  enabled: boolean;

  /** Null: `SYNC_INTERVAL_MINUTES`, whatever it is at the time. */
  @Column({ name: 'interval_minutes', type: 'integer', nullable: true })
  intervalMinutes: number | null;

  @Column({ name: 'next_run_at', type: 'timestamptz' })
  nextRunAt: Date;

  /** From then on the next run reads everything; null: the next one does. */
  @Column({ name: 'next_full_at', type: 'timestamptz', nullable: true })
  nextFullAt: Date | null;

  /** Since when it stands or was last turned on: what never came is missed from then on. */
  @Column({ type: 'timestamptz', default: () => 'now()' })
  since: Date;
}
