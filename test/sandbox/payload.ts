import type { Account } from './account.ts';
import { stamp, stampMicro } from './clock.ts';
import type { Json, JsonObject } from './json.ts';
import { ownerOf } from './resources/event-view.ts';
import { spacedJson } from './signature.ts';
import { topicOf } from './store/metrics.ts';
import type { EventRow } from './store/rows.ts';

/** Version of the delivery's format, unrelated to the revision. */
const VERSION = '2024-06-28';

/** One event as a delivery holds it; its `datetime` has a space where the API has a T. */
export function deliveredEvent(account: Account, row: EventRow): JsonObject {
  const metric = account.metrics.get(row.metricId);
  return {
    external_id: row.id,
    topic: metric === undefined ? 'event:api.unknown' : topicOf(metric),
    payload: {
      data: {
        type: 'event',
        id: row.id,
        attributes: {
          timestamp: row.time / 1000,
          event_properties: row.properties,
          datetime: stamp(row.time).replace('T', ' '),
          uuid: row.uuid,
        },
        relationships: {
          metric: { data: { type: 'metric', id: row.metricId } },
          profile: { data: { type: 'profile', id: ownerOf(account, row) } },
        },
        links: { self: `https://a.klaviyo.com/api/events/${row.id}/` },
      },
    },
  };
}

/** A delivery's bytes: up to 1,000 events and the meta that names webhook, account and moment. */
export function deliveryBody(account: Account, webhookId: string, events: readonly Json[], at: number): Buffer {
  const meta: JsonObject = {
    timestamp: stampMicro(at),
    klaviyo_webhook_id: webhookId,
    klaviyo_account_id: account.id,
    version: VERSION,
  };
  return Buffer.from(spacedJson({ data: [...events], meta }), 'utf8');
}
