import type { Account } from './account.ts';
import { stamp, stampMicro } from './clock.ts';
import { ownerOf } from './resources/event-view.ts';
import { spacedJson } from './signature.ts';
import { topicOf } from './store/metrics.ts';
import type { EventRow } from './store/rows.ts';

/** Version of the delivery's format, unrelated to the revision. */
const VERSION = '2024-06-28';

/**
 * The text of one event as a delivery holds it; its `datetime` has a space where the API has a T. Written out rather
 * than built, for a thousand of them go into one delivery.
 */
export function deliveredEvent(account: Account, row: EventRow): string {
  const metric = account.metrics.get(row.metricId);
  const topic = metric === undefined ? 'event:api.unknown' : topicOf(metric);
  const at = stamp(row.time).replace('T', ' ');
  return (
    `{"external_id": "${row.id}", "topic": "${topic}", "payload": {"data": {"type": "event", "id": "${row.id}", ` +
    `"attributes": {"timestamp": ${row.time / 1000}, "event_properties": ${spacedJson(row.properties)}, ` +
    `"datetime": "${at}", "uuid": "${row.uuid}"}, ` +
    `"relationships": {"metric": {"data": {"type": "metric", "id": "${row.metricId}"}}, ` +
    `"profile": {"data": {"type": "profile", "id": "${ownerOf(account, row)}"}}}, ` +
    `"links": {"self": "https://a.klaviyo.com/api/events/${row.id}/"}}}}`
  );
}

/** A delivery's bytes: the events' texts, and the meta that names webhook, account and moment. */
export function deliveryBody(account: Account, webhookId: string, events: readonly string[], at: number): Buffer {
  const meta = spacedJson({
    timestamp: stampMicro(at),
    klaviyo_webhook_id: webhookId,
    klaviyo_account_id: account.id,
    version: VERSION,
  });
  return Buffer.from(`{"data": [${events.join(', ')}], "meta": ${meta}}`, 'utf8');
}
