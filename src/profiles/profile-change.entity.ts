import { Column, Entity, Index, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** What one update changed of a person at Klaviyo. The changes are personal data and kept sealed. */
@Entity('profile_change')
@Index('profile_change_newest', ['userId', 'connectionId', 'profileId', 'at', 'id'])
export class ProfileChange {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ type: 'uuid' })
  id: string;

  /** Klaviyo's id of the person. */
  @Column({ name: 'profile_id', type: 'text' })
  profileId: string;

  @Column({ type: 'timestamptz', default: () => 'now()' })
  at: Date;

  @Column({ name: 'request_id', type: 'text', nullable: true })
  requestId: string | null;

  /** A JWE bound to user, connection and person. */
  @Column({ name: 'sealed_changes', type: 'text' })
  sealedChanges: string;

  /** Rows go with their connection. Never loaded. */
  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'profile_change_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'profile_change_connection' },
  ])
  connection?: Connection;
}
