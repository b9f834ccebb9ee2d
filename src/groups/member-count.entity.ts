import { Check, Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

export const GROUP_KINDS = ['list', 'segment'] as const;
export type GroupKind = (typeof GROUP_KINDS)[number];

/** How many members a list or segment had when Klaviyo was last asked, and whether somebody waits for a newer count. */
@Entity('member_count')
@Check('member_count_kind', `kind IN ('list', 'segment')`)
@Index('member_count_requested', ['userId', 'connectionId'], { where: 'requested_at IS NOT NULL' })
export class MemberCount {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'member_count_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'member_count_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ type: 'text' })
  kind: GroupKind;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text' })
  klaviyoId: string;

  /** Null until Klaviyo was asked. */
  @Column({ name: 'member_count', type: 'integer', nullable: true })
  memberCount: number | null;

  @Column({ name: 'computed_at', type: 'timestamptz', nullable: true })
  computedAt: Date | null;

  /** Set while a caller waits for a newer count: the job's list of what is left to do. */
  @Column({ name: 'requested_at', type: 'timestamptz', nullable: true })
  requestedAt: Date | null;
}
