import { ApiProperty } from '@nestjs/swagger';
import type { Taken } from './intake';

export class ReceiverResponse {
  /** Events in the delivery. */
  @ApiProperty({ type: 'integer' })
  received: number;

  /** Of them, known before: they have no further effect. */
  @ApiProperty({ type: 'integer' })
  duplicates: number;

  /** Of them, malformed: kept apart, see `GET /webhooks/events?status=quarantined`. */
  @ApiProperty({ type: 'integer' })
  quarantined: number;

  static from({ received, duplicates, quarantined }: Taken): ReceiverResponse {
    return { received, duplicates, quarantined };
  }
}
