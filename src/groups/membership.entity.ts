import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import type { GroupKind } from './member-count.entity';

/**
 * Who is in a list or segment, or was. No reference to the connection: rows of one that is gone are unreachable, and
 * removed in chunks.
 */
@Entity('membership')
@Check('membership_kind', `kind IN ('list', 'segment')`)
@Index('membership_of_profile', ['connectionId', 'profileId'], { where: 'left_at IS NULL' })
@Index('membership_by_time', ['connectionId', 'kind', 'groupId', 'joinedAt', 'profileId'], {
  where: 'left_at IS NULL',
})
export class Membership {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ type: 'text' })
  kind: GroupKind;

  @PrimaryColumn({ name: 'group_id', type: 'text' })
  groupId: string;

  /** In the order of the people themselves, who are found by it. */
  @PrimaryColumn({ name: 'profile_id', type: 'text', collation: 'C' })
  profileId: string;

  /** As Klaviyo says; where it does not, when we first knew. */
  @Column({ name: 'joined_at', type: 'timestamptz' })
  joinedAt: Date;

  /** When it was last seen or noted, by the database's clock. */
  @Column({ name: 'synced_at', type: 'timestamptz' })
  syncedAt: Date;

  /** Since when they are known to have left; null for a member. */
  @Column({ name: 'left_at', type: 'timestamptz', nullable: true })
  leftAt: Date | null;
}
