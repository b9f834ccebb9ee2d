import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

/** What is searched in a person's document, apart from names and identifiers. */
export interface Searchable {
  /** Tags, as answered. */
  t: string[];
  /** Custom attributes of the first level: short texts, numbers, truth values, and arrays of them. */
  a: Record<string, unknown>;
}

/**
 * What a mirrored person is found by, and what Klaviyo said of them: in the row, and out of line without compression where
 * a row would be larger than 2 KB, so that a pass that finds nothing new, and a search, need not touch large documents. No
 * foreign key: rows of a connection that is gone are unreachable and are removed in chunks.
 */
@Entity('mirrored_profile')
@Index('mirrored_profile_email', ['connectionId', 'email'], { where: 'email IS NOT NULL' })
@Index('mirrored_profile_phone', ['connectionId', 'phone'], { where: 'phone IS NOT NULL' })
@Index('mirrored_profile_external_id', ['connectionId', 'externalId'], { where: 'external_id IS NOT NULL' })
@Index('mirrored_profile_updated', ['connectionId', 'updatedAt', 'klaviyoId'])
// Of several operator classes, which TypeORM cannot say: the migration makes it.
@Index('mirrored_profile_search', { synchronize: false })
export class MirroredProfile {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @PrimaryColumn({ name: 'klaviyo_id', type: 'text', collation: 'C' })
  klaviyoId: string;

  /** In lower case. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  email: string | null;

  @Column({ type: 'text', collation: 'C', nullable: true })
  phone: string | null;

  @Column({ name: 'external_id', type: 'text', collation: 'C', nullable: true })
  externalId: string | null;

  /** First name, last name and organization, folded as names are compared; null without any. */
  @Column({ type: 'text', collation: 'C', nullable: true })
  name: string | null;

  @Column({ type: 'jsonb' })
  searchable: Searchable;

  @Column({ name: 'created_at', type: 'timestamptz', nullable: true })
  createdAt: Date | null;

  /** Klaviyo's: what says less is older, and replaces nothing. `-infinity` where Klaviyo does not say. */
  @Column({ name: 'updated_at', type: 'timestamptz' })
  updatedAt: Date;

  /** Of the document: whether it is the same without reading it. */
  @Column({ type: 'bigint' })
  fingerprint: string;

  /**
   * JSON: `attributes` as Klaviyo gave them, consent included; a profile's relationships are links alone and left out.
   * Ours from its first to its last character, so PostgreSQL need not read it when it comes.
   */
  @Column({ type: 'text' })
  document: string;

  /** When our copy last became another. */
  @Column({ name: 'changed_at', type: 'timestamptz' })
  changedAt: Date;

  /** When Klaviyo last showed the person. */
  @Column({ name: 'synced_at', type: 'timestamptz' })
  syncedAt: Date;

  /** Since when they are known to be gone at Klaviyo (deleted, merged into another). */
  @Column({ name: 'deleted_at', type: 'timestamptz', nullable: true })
  deletedAt: Date | null;
}
