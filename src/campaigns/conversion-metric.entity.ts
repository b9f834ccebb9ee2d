import { Column, Entity, JoinColumn, ManyToOne, PrimaryColumn } from 'typeorm';
import { Connection } from '../connection/connection.entity';

/** Which metric counts conversions in the reports of a connection. */
@Entity('conversion_metric')
export class ConversionMetricChoice {
  @PrimaryColumn({ name: 'user_id', type: 'bigint' })
  userId: string;

  @PrimaryColumn({ name: 'connection_id', type: 'uuid' })
  connectionId: string;

  @ManyToOne(() => Connection, { onDelete: 'CASCADE' })
  @JoinColumn([
    { name: 'user_id', referencedColumnName: 'userId', foreignKeyConstraintName: 'conversion_metric_connection' },
    { name: 'connection_id', referencedColumnName: 'id', foreignKeyConstraintName: 'conversion_metric_connection' },
  ])
  connection: Connection;

  @Column({ name: 'metric_id', type: 'text' })
  metricId: string;

  /** False where the account has no metric of purchases: what is counted then is no conversion. */
  @Column({ type: 'boolean' })
  usable: boolean;

  @Column({ name: 'chosen_at', type: 'timestamptz' })
  chosenAt: Date;
}
