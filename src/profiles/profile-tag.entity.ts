import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** How many people had a tag when the last synchronisation of people ended. */
@Entity('profile_tag')
export class ProfileTag {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ type: 'text', collation: 'C' })
  tag: string;

  /** As names are compared. */
  @Column({ type: 'text' })
  folded: string;

  @Column({ type: 'integer' })
  profiles: number;

  /** Rows go with their connection. Never loaded. */
  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'profile_tag_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'profile_tag_connection' },
  ])
  connection?: Connection;
}
