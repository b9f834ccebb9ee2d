import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { MessageCounts } from './campaign-stats';

/** The last known counts of a campaign. */
@Entity('campaign_figure')
export class CampaignFigure {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'campaign_figure_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'campaign_figure_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text' })
  klaviyoId: string;

  /** Counts by message (and channel): a page of a report that comes twice changes nothing. */
  @Column({ type: 'jsonb' })
  messages: Record<string, MessageCounts>;

  /** When the report was asked for. */
  @Column({ name: 'computed_at', type: 'timestamptz' })
  computedAt: Date;
}
