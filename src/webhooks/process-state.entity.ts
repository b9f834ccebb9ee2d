import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** What a webhook has brought since it was made. */
@Entity('webhook_figure')
export class WebhookFigure {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ name: 'webhook_id', type: 'uuid' })
  webhookId: string;

  /** Events of deliveries that were worked off, as the rest. */
  @Column({ type: 'bigint', default: 0 })
  received: string;

  @Column({ type: 'bigint', default: 0 })
  processed: string;

  @Column({ type: 'bigint', default: 0 })
  duplicates: string;

  @Column({ name: 'last_received_at', type: 'timestamptz' })
  lastReceivedAt: Date;

  /** When Klaviyo last sent something that was not here yet; null: never. */
  @Column({ name: 'last_pushed_at', type: 'timestamptz', nullable: true })
  lastPushedAt: Date | null;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'webhook_figure_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'webhook_figure_connection' },
  ])
  connection?: Connection;
}

/** Who works the events of a connection off: one at a time, so that they stay in order. */
@Entity('webhook_lane')
export class WebhookLane {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @Column({ type: 'uuid' })
  lease: string;

  @Column({ name: 'leased_until', type: 'timestamptz' })
  leasedUntil: Date;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'webhook_lane_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'webhook_lane_connection' },
  ])
  connection?: Connection;
}

/** A person whose profile is to be read again, since an event says that it changed. */
@Entity('profile_refresh')
@Index('profile_refresh_due', ['userId', 'connectionId', 'nextAt'])
export class ProfileRefresh {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ name: 'profile_id', type: 'text', collation: 'C' })
  profileId: string;

  /** When it was last asked for. */
  @Column({ name: 'wanted_at', type: 'timestamptz', default: () => 'now()' })
  wantedAt: Date;

  /** Not before. */
  @Column({ name: 'next_at', type: 'timestamptz', default: () => 'now()' })
  nextAt: Date;

  @Column({ type: 'integer', default: 0 })
  attempts: number;
}
