import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A time during which somebody was there every minute to receive events and to look after webhooks. */
@Entity('webhook_watch')
export class WebhookWatch {
  @PrimaryColumn({ type: 'timestamptz', default: () => 'now()' })
  since: Date;

  @Column({ type: 'timestamptz', default: () => 'now()' })
  until: Date;

  /** Where the time before it ended: from then until `since`, nobody was there. Null for the first. */
  @Column({ name: 'away_since', type: 'timestamptz', nullable: true })
  awaySince: Date | null;
}
