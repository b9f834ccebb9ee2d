import { ApiProperty } from '@nestjs/swagger';
import type { Taken } from './intake';

class DeliveredEvent {
  /** Klaviyo's id of the event. */
  external_id: string;
  /** e.g. `event:klaviyo.opened_email` */
  topic: string;
  /** `{ data }`: the event as Klaviyo's `GET /api/events/{id}` has it. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  payload: Record<string, unknown>;
}

class DeliveryMeta {
  /** When it was sent: the time that is believed. */
  timestamp: string;
  /** The same as in the header. */
  klaviyo_webhook_id: string;
  klaviyo_account_id: string;
  /** Of this format. */
  version: string;
}

/** What Klaviyo sends; for the document only, since it is read by hand from the signed bytes. */
export class ReceiverRequest {
  /** Up to 1,000. */
  @ApiProperty({ type: [DeliveredEvent] })
  data: DeliveredEvent[];
  meta: DeliveryMeta;
}

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
