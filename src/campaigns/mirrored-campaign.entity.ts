import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { CampaignStatus } from './campaign-status';

const LIVE = { where: 'deleted_at IS NULL' };

/** A campaign as our mirror keeps it. Instants of Klaviyo's in milliseconds, as the answers show them. */
@Entity('mirrored_campaign')
@Index('mirrored_campaign_by_moment', ['connectionId', 'moment', 'klaviyoId'], LIVE)
@Index('mirrored_campaign_by_channel', ['connectionId', 'channel', 'moment', 'klaviyoId'], LIVE)
@Index('mirrored_campaign_by_status', ['connectionId', 'status', 'moment', 'klaviyoId'], LIVE)
@Index('mirrored_campaign_by_archived', ['connectionId', 'archived', 'moment', 'klaviyoId'], LIVE)
@Index('mirrored_campaign_by_message', ['messageIds'], { type: 'gin' })
export class MirroredCampaign {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'mirrored_campaign_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'mirrored_campaign_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  @Column({ type: 'text', nullable: true })
  name: string | null;

  @Column({ type: 'text' })
  status: CampaignStatus;

  /** Klaviyo's word for it. */
  @Column({ name: 'klaviyo_status', type: 'text', nullable: true })
  klaviyoStatus: string | null;

  /** The channel that it was found in. */
  @Column({ type: 'text', nullable: true })
  channel: string | null;

  @Column({ type: 'boolean' })
  archived: boolean;

  /** Ids of lists and segments. */
  @Column({ type: 'jsonb' })
  audiences: { included: string[]; excluded: string[] };

  @Column({ name: 'created_at', type: 'timestamptz', nullable: true })
  createdAt: Date | null;

  @Column({ name: 'updated_at', type: 'timestamptz', nullable: true })
  updatedAt: Date | null;

  @Column({ name: 'scheduled_at', type: 'timestamptz', nullable: true })
  scheduledAt: Date | null;

  @Column({ name: 'sent_at', type: 'timestamptz', nullable: true })
  sentAt: Date | null;

  /** What it is placed in time by: sent, else scheduled, else created; 1970 where Klaviyo says none. */
  @Column({ type: 'timestamptz' })
  moment: Date;

  /** Events of engagement may name a message rather than its campaign. */
  @Column({ name: 'message_ids', type: 'text', array: true })
  messageIds: string[];

  /** `{ id, attributes }` of each, as Klaviyo gave them; none where it has none. */
  @Column({ type: 'jsonb' })
  messages: readonly object[];

  /** `{ attributes, relationships? }` as Klaviyo gave them, without links. */
  @Column({ type: 'jsonb' })
  document: object;

  /** When it was last seen, by the database's clock. */
  @Column({ name: 'synced_at', type: 'timestamptz' })
  syncedAt: Date;

  /** Since when it is known to be gone at Klaviyo. */
  @Column({ name: 'deleted_at', type: 'timestamptz', nullable: true })
  deletedAt: Date | null;
}
