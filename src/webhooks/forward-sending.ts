import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { KeptLines, postSigned, type PostResult } from '../observability/signed-post';
import type { DueForward, ForwardedEvent } from './forwards.system.repository';

/** How an attempt ended. */
export type ForwardVerdict =
  | { kind: 'delivered' }
  /** `who`: whether it is about this event alone, or about the address as a whole. */
  | { kind: 'failed'; who: 'event' | 'target'; error: string }
  /** It wants no more of this. */
  | { kind: 'gone' };

/** A receiver that takes longer counts as one that does not answer. */
export const ATTEMPT_MS = 10_000;
/** Lines to the receiver. */
export const MOST_LINES = 100;
/** An answer that says something about whoever asks, not about the event. */
const OF_THE_TARGET: ReadonlySet<number> = new Set([401, 403, 404, 405, 407, 408, 421, 425, 429]);

/** Sends one event to `EVENT_FORWARD_URL`, signed as Standard Webhooks. */
@Injectable()
export class ForwardSending implements OnModuleDestroy {
  private readonly lines: KeptLines | undefined;

  constructor(@Inject(ENV) private readonly env: Env) {
    if (env.eventForwardUrl !== undefined) this.lines = new KeptLines(env.eventForwardUrl, MOST_LINES);
  }

  onModuleDestroy(): void {
    this.lines?.close();
  }

  /** Never throws. */
  async send(due: DueForward, event: ForwardedEvent): Promise<ForwardVerdict> {
    const result = await postSigned({
      url: this.env.eventForwardUrl ?? '',
      secret: this.env.eventForwardSecret,
      id: due.eventId,
      body: bodyOf(due, event),
      now: Date.now(),
      timeoutMs: ATTEMPT_MS,
      headers: { 'webhook-sequence': String(due.sequence) },
      ...(this.lines === undefined ? {} : { lines: this.lines }),
    });
    return verdictOf(result);
  }
}

export function verdictOf(result: PostResult): ForwardVerdict {
  if (result.kind === 'failed') return { kind: 'failed', who: 'target', error: result.reason };
  const { status } = result;
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  if (status === 410) return { kind: 'gone' };
  const isOfEvent = status >= 400 && status < 500 && !OF_THE_TARGET.has(status);
  return { kind: 'failed', who: isOfEvent ? 'event' : 'target', error: `answered ${status}` };
}

function bodyOf({ userId, connectionId, eventId }: DueForward, event: ForwardedEvent): string {
  const occurredAt = new Date(event.occurredAt).toISOString();
  const { topic, externalId, metric, profileId, email, properties } = event;
  return JSON.stringify({
    type: topic,
    timestamp: occurredAt,
    data: {
      userId,
      connectionId,
      eventId,
      externalId,
      metric,
      profile: { id: profileId, email },
      properties,
      occurredAt,
    },
  });
}
