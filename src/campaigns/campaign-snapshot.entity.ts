import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { MessageCounts } from './campaign-stats';

/** A campaign's counts from a time on, kept where a report changed them. */
@Entity('campaign_snapshot')
@Index('campaign_snapshot_by_time', ['connectionId', 'at'])
export class CampaignSnapshot {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'campaign_snapshot_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'campaign_snapshot_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  /** When the report was asked for. */
  @PrimaryColumn({ type: 'timestamptz' })
  at: Date;

  /** Of all its messages together. */
  @Column({ type: 'jsonb' })
  counts: MessageCounts;
}
