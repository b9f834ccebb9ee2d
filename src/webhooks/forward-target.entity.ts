import { Check, Column, Entity, PrimaryColumn } from 'typeorm';

/** How the address does that events are passed on to. One row for each address that was ever configured. */
@Entity('forward_target')
@Check('forward_target_stopped', `stopped IN ('gone', 'failing')`)
export class ForwardTarget {
  /** A digest of the address. */
  @PrimaryColumn({ type: 'text' })
  id: string;

  /** Attempts that failed since the last that did not. */
  @Column({ type: 'integer', default: 0 })
  failures: number;

  @Column({ name: 'failing_since', type: 'timestamptz', nullable: true })
  failingSince: Date | null;

  /** Why nothing is passed on: it answered 410, or has failed for days; null: it is not stopped. */
  @Column({ type: 'text', nullable: true })
  stopped: 'gone' | 'failing' | null;

  /** While it fails: when one event is tried next. */
  @Column({ name: 'probe_at', type: 'timestamptz', nullable: true })
  probeAt: Date | null;
}
