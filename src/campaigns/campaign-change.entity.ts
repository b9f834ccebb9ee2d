import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { CampaignStatus } from './campaign-status';

/** A campaign's status and schedule from a time on: its first appearance, and each change that was seen. */
@Entity('campaign_change')
export class CampaignChange {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'campaign_change_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'campaign_change_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  /** When it was seen, by the database's clock. */
  @PrimaryColumn({ type: 'timestamptz' })
  at: Date;

  @Column({ type: 'text' })
  status: CampaignStatus;

  @Column({ name: 'klaviyo_status', type: 'text', nullable: true })
  klaviyoStatus: string | null;

  @Column({ name: 'scheduled_at', type: 'timestamptz', nullable: true })
  scheduledAt: Date | null;

  @Column({ name: 'sent_at', type: 'timestamptz', nullable: true })
  sentAt: Date | null;
}
