import { Check, Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { GroupKind } from './member-count.entity';

/** A list or segment as our mirror keeps it. */
@Entity('mirrored_group')
@Check('mirrored_group_kind', `kind IN ('list', 'segment')`)
export class MirroredGroup {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'mirrored_group_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'mirrored_group_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ type: 'text' })
  kind: GroupKind;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text' })
  klaviyoId: string;

  @Column({ type: 'text', nullable: true })
  name: string | null;

  /** The name as filters compare it: see `foldName`. */
  @Column({ name: 'folded_name', type: 'text' })
  foldedName: string;

  /** Of lists. */
  @Column({ name: 'opt_in_process', type: 'text', nullable: true })
  optInProcess: string | null;

  /** This and the two below: of segments. */
  @Column({ name: 'is_active', type: 'boolean', nullable: true })
  isActive: boolean | null;

  @Column({ name: 'is_processing', type: 'boolean', nullable: true })
  isProcessing: boolean | null;

  @Column({ name: 'is_starred', type: 'boolean', nullable: true })
  isStarred: boolean | null;

  @Column({ name: 'created_at', type: 'timestamptz', nullable: true })
  createdAt: Date | null;

  @Column({ name: 'updated_at', type: 'timestamptz', nullable: true })
  updatedAt: Date | null;

  /** `{ attributes, relationships? }` as Klaviyo gave them, without links. */
  @Column({ type: 'jsonb' })
  document: Record<string, unknown>;

  /** When it was last seen, by the database's clock. */
  @Column({ name: 'synced_at', type: 'timestamptz' })
  syncedAt: Date;

  /** Since when it is known to be gone at Klaviyo. */
  @Column({ name: 'deleted_at', type: 'timestamptz', nullable: true })
  deletedAt: Date | null;

  /** When it came into the mirror, or came back. */
  @Column({ name: 'first_seen_at', type: 'timestamptz', default: () => 'now()' })
  firstSeenAt: Date;

  /** When the last complete pass over its members began: later passes read who joined since. Null: none yet. */
  @Column({ name: 'members_seen_at', type: 'timestamptz', nullable: true })
  membersSeenAt: Date | null;
}
