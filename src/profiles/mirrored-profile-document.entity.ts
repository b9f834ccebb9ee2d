import { Column, Entity, PrimaryColumn } from 'typeorm';

/** What Klaviyo said of a mirrored person, whole. */
@Entity('mirrored_profile_document')
export class MirroredProfileDocument {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  /** `attributes` as Klaviyo gave them, consent included; a profile's relationships are links alone and left out. */
  @Column({ type: 'json' })
  document: { attributes: Record<string, unknown> };
}
