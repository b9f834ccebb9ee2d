import { Check, Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { EngagementKind } from './engagement';

/** What was heard of a campaign in a minute, kept until a report tells more. */
@Entity('campaign_engagement')
@Check('campaign_engagement_kind', `kind IN ('delivered', 'open', 'click', 'bounce', 'unsubscribe', 'spam')`)
export class CampaignEngagement {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'campaign_engagement_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'campaign_engagement_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  @PrimaryColumn({ type: 'text' })
  kind: EngagementKind;

  /** When it happened, without the seconds. */
  @PrimaryColumn({ type: 'timestamptz' })
  minute: Date;

  @Column({ type: 'bigint' })
  count: string;
}
