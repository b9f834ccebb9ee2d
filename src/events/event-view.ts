import type { EventProfile } from './find-profile';
import type { EventStatus, SentEvent } from './sent-event.entity';

/** A sent event as its user sees it. */
export interface EventView {
  id: string;
  eventType: string;
  uniqueId: string;
  status: EventStatus;
  profile: EventProfile;
  time: Date;
  value: number | null;
  currency: string | null;
  attempts: number;
  lastError: string | null;
  createdAt: Date;
  sentAt: Date | null;
}

/** A stored event with its profile opened. */
export function viewOf(row: SentEvent, profile: EventProfile): EventView {
  const { id, eventType, uniqueId, status, time, value, currency, attempts, lastError, createdAt, sentAt } = row;
  return { id, eventType, uniqueId, status, profile, time, value, currency, attempts, lastError, createdAt, sentAt };
}
