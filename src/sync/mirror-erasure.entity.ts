import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A connection that is gone and whose mirror is still to be removed. */
@Entity('mirror_erasure')
export class MirrorErasure {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @Column({ name: 'requested_at', type: 'timestamptz', default: () => 'now()' })
  requestedAt: Date;
}
