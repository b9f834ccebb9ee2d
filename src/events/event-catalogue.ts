import type { EventType } from './event-type';
import { PURCHASE_TYPES } from './purchase-types';
import { VISIT_TYPES } from './visit-types';

/** The predefined types, as `GET /trigger-event` shows them. */
export const EVENT_TYPES: readonly EventType[] = [...PURCHASE_TYPES, ...VISIT_TYPES];

const BY_WORD: ReadonlyMap<string, EventType> = new Map(
  EVENT_TYPES.flatMap((type) =>
    [type.key, type.name, ...(type.aliases ?? [])].map((word) => [word.toLowerCase(), type] as const),
  ),
);

/** The predefined type of a key or name in whatever case; undefined for any other name. */
export function predefined(eventType: string): EventType | undefined {
  return BY_WORD.get(eventType.toLowerCase());
}
