import { Check, Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';
import type { GroupKind } from './member-count.entity';

/** Where a count comes from: a complete pass over the members, or Klaviyo's own count. */
export type CountSource = 'pass' | 'count';

/** How many members a list or segment had over time: at most one row an hour, where it changed, else one a day. */
@Entity('member_count_history')
@Check('member_count_history_kind', `kind IN ('list', 'segment')`)
@Check('member_count_history_source', `source IN ('pass', 'count')`)
export class MemberCountHistory {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'member_count_history_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'member_count_history_connection' },
  ])
  connection: Connection;

  @PrimaryColumn({ type: 'text' })
  kind: GroupKind;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text' })
  klaviyoId: string;

  /** The hour of `at`: a later count of the same hour takes the place of an earlier one. */
  @PrimaryColumn({ type: 'timestamptz' })
  hour: Date;

  @Column({ type: 'timestamptz' })
  at: Date;

  @Column({ name: 'member_count', type: 'integer' })
  memberCount: number;

  @Column({ type: 'text' })
  source: CountSource;
}
