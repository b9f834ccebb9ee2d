import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** A metric of the account as Klaviyo showed it: the kind that an event is of. */
@Entity('mirrored_metric')
export class MirroredMetric {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  @Column({ type: 'text' })
  name: string;

  /** Of the integration that records it, e.g. `klaviyo`, `api`; the same name may come from several. */
  @Column({ name: 'integration_key', type: 'text', nullable: true })
  integrationKey: string | null;

  /** As people know it, e.g. `Klaviyo`, `API`. */
  @Column({ name: 'integration_name', type: 'text', nullable: true })
  integrationName: string | null;

  @Column({ name: 'integration_category', type: 'text', nullable: true })
  integrationCategory: string | null;

  @Column({ name: 'created_at', type: 'timestamptz', nullable: true })
  createdAt: Date | null;

  @Column({ name: 'updated_at', type: 'timestamptz', nullable: true })
  updatedAt: Date | null;

  /** `{ attributes }` as Klaviyo gave them. */
  @Column({ type: 'jsonb' })
  document: object;

  /** When it was last seen. */
  @Column({ name: 'synced_at', type: 'timestamptz' })
  syncedAt: Date;

  /** Since when Klaviyo shows it no more. */
  @Column({ name: 'deleted_at', type: 'timestamptz', nullable: true })
  deletedAt: Date | null;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'mirrored_metric_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'mirrored_metric_connection' },
  ])
  connection?: Connection;
}
