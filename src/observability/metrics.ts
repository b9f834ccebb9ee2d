import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The service's own figures. Labels are closed sets (routes, operations, outcomes): never a user, a key or an address. */
@Injectable()
export class Metrics {
  readonly registry = new Registry();

  /** Calls answered, by route template (never the path itself) and status. */
  readonly httpRequests = new Counter({
    name: 'http_requests_total',
    help: 'Calls answered',
    labelNames: ['method', 'route', 'status'],
    registers: [this.registry],
  });
  readonly httpDuration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the first byte of a call to its answer',
    labelNames: ['method', 'route'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
    registers: [this.registry],
  });
  /** Attempts sent to Klaviyo. `outcome`: success, refused (4xx), throttled (429), failed (5xx), timeout, network. */
  readonly klaviyoRequests = new Counter({
    name: 'klaviyo_requests_total',
    help: 'Attempts sent to Klaviyo',
    labelNames: ['operation', 'outcome'],
    registers: [this.registry],
  });
  readonly klaviyoDuration = new Histogram({
    name: 'klaviyo_request_duration_seconds',
    help: 'Time of one attempt at Klaviyo',
    labelNames: ['operation'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });
  /** Seconds that calls waited for a slot of Klaviyo's quota. */
  readonly klaviyoQuotaWait = new Counter({
    name: 'klaviyo_quota_wait_seconds_total',
    help: 'Time spent waiting for Klaviyo quota',
    labelNames: ['operation'],
    registers: [this.registry],
  });
  /** Slots of Klaviyo's quota taken. */
  readonly klaviyoQuotaUsed = new Counter({
    name: 'klaviyo_quota_used_total',
    help: 'Klaviyo quota slots taken',
    labelNames: ['operation'],
    registers: [this.registry],
  });
  /** 429s of Klaviyo: ours to avoid, so each says that somebody else uses the quota or that a limit changed. */
  readonly klaviyoThrottled = new Counter({
    name: 'klaviyo_throttled_total',
    help: 'Calls that Klaviyo refused with 429',
    labelNames: ['operation'],
    registers: [this.registry],
  });
  /** Accounts whose circuit this process knows to be open. */
  readonly klaviyoCircuitsOpen = new Gauge({
    name: 'klaviyo_circuits_open',
    help: 'Accounts that Klaviyo does not answer for',
    registers: [this.registry],
  });
  /** What operators were told. `outcome`: told, failed (to be tried again), dropped. */
  readonly alerts = new Counter({
    name: 'alerts_total',
    help: 'Messages to ALERT_WEBHOOK_URL',
    labelNames: ['type', 'outcome'],
    registers: [this.registry],
  });
  /** Events accepted, by what became of them: sent, queued, failed, dead, cancelled. */
  readonly events = new Counter({
    name: 'klaviyo_events_total',
    help: 'Events sent by callers, by what became of them',
    labelNames: ['status'],
    registers: [this.registry],
  });
  readonly eventsWaiting = new Gauge({
    name: 'klaviyo_events_waiting',
    help: 'Events accepted and not yet delivered',
    registers: [this.registry],
  });

  /** Deliveries to the webhook receiver. `outcome`: taken, repeated, refused, out_of_time, unavailable. */
  readonly webhookDeliveries = new Counter({
    name: 'klaviyo_webhook_deliveries_total',
    help: 'Deliveries to the webhook receiver',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  /** Events of webhooks. `outcome`: taken, duplicate, quarantined, processed, failed, dead. */
  readonly webhookEvents = new Counter({
    name: 'klaviyo_webhook_events_total',
    help: 'Events received or read for webhooks, by what became of them',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  readonly webhookBacklog = new Gauge({
    name: 'klaviyo_webhook_deliveries_waiting',
    help: 'Deliveries received and not yet worked off',
    registers: [this.registry],
  });

  /** Received events on their way to EVENT_FORWARD_URL. `outcome`: delivered, failed, given back, gone. */
  readonly eventForwards = new Counter({
    name: 'klaviyo_event_forwards_total',
    help: 'Attempts to pass received events on',
    labelNames: ['outcome'],
    registers: [this.registry],
  });
  readonly eventForwardsWaiting = new Gauge({
    name: 'klaviyo_event_forwards_waiting',
    help: 'Received events that are still to be passed on',
    registers: [this.registry],
  });
  readonly eventForwardStopped = new Gauge({
    name: 'klaviyo_event_forward_stopped',
    help: '1 while EVENT_FORWARD_URL is switched off: it answered 410, or has failed for days',
    registers: [this.registry],
  });
  /** Synchronisations that ended, by how: succeeded, partial, failed, cancelled. */
  readonly syncRuns = new Counter({
    name: 'klaviyo_sync_runs_total',
    help: 'Synchronisations that ended',
    labelNames: ['status'],
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }
}
