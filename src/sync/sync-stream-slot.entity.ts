import { Column, Entity, PrimaryColumn } from 'typeorm';

/** One of the few streams that a user may have open at once, on whichever replica it is. */
@Entity('sync_stream_slot')
export class SyncStreamSlot {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ type: 'smallint' })
  slot: number;

  @Column({ type: 'uuid' })
  lease: string;

  /** Renewed while the stream is open; a process that died gives its slots back by itself. */
  @Column({ name: 'leased_until', type: 'timestamptz' })
  leasedUntil: Date;
}
