// The troubles that `npm run bench:faults` plays, and what our client promises for each.
import { setting } from './figures.ts';
import type { Peer } from './peers.ts';

export interface Case {
  title: string;
  /** The sandbox's name of the operation that is hit. */
  operation: string;
  /** As the sandbox's manual has it. */
  fault: object;
  act(peer: Peer): Promise<number | string>;
  /** What a write makes more of. */
  counts?: 'profiles' | 'events';
  /** Is the time it takes what the case is about? Then it is run several times. */
  timed?: boolean;
  ours: { result: RegExp; requests: number; rows?: number; notBefore?: number };
}

export const RETRY_AFTER_SECONDS = setting('BENCH_RETRY_AFTER', 5);
/** Unknown to the account before. */
const PERSON = 'new.person@example.com';
const READ = { operation: 'getLists', act: (peer: Peer) => peer.lists() };
const CREATE = {
  operation: 'createProfile',
  act: (peer: Peer) => peer.createProfile(PERSON),
  counts: 'profiles' as const,
};
const UPSERT = {
  operation: 'createOrUpdateProfile',
  act: (peer: Peer) => peer.upsertProfile(PERSON),
  counts: 'profiles' as const,
};
const EVENT = { operation: 'createEvent', counts: 'events' as const };
const WITH_ID = { ...EVENT, act: (peer: Peer) => peer.createEvent(PERSON, 'order-1') };
const WITHOUT_ID = { ...EVENT, act: (peer: Peer) => peer.createEvent(PERSON) };

export const CASES: readonly Case[] = [
  {
    title: `429 with Retry-After: ${RETRY_AFTER_SECONDS}`,
    ...READ,
    fault: { preset: '429', retryAfter: RETRY_AFTER_SECONDS },
    timed: true,
    ours: { result: /^10 rows$/, requests: 2, notBefore: RETRY_AFTER_SECONDS },
  },
  {
    title: 'a read hangs once',
    ...READ,
    fault: { preset: 'hang-headers' },
    ours: { result: /^10 rows$/, requests: 2 },
  },
  {
    title: 'a read hangs in its body, always',
    ...READ,
    fault: { preset: 'hang-body', times: 'forever' },
    ours: { result: /^KLAVIYO_TIMEOUT$/, requests: 3 },
  },
  {
    title: 'a read drips, 20 bytes a second',
    ...READ,
    fault: { fault: { kind: 'drip', bytesPerSecond: 20 }, times: 'forever' },
    ours: { result: /^KLAVIYO_TIMEOUT$/, requests: 3 },
  },
  {
    title: 'a create hangs',
    ...CREATE,
    fault: { preset: 'hang-headers' },
    ours: { result: /^KLAVIYO_TIMEOUT$/, requests: 1 },
  },
  { title: 'reset on a read', ...READ, fault: { preset: 'reset' }, ours: { result: /^10 rows$/, requests: 2 } },
  {
    title: 'upsert done, then reset',
    ...UPSERT,
    fault: { fault: { kind: 'applyThenReset' } },
    ours: { result: /^done/, requests: 2, rows: 1 },
  },
  {
    title: 'create done, then reset',
    ...CREATE,
    fault: { fault: { kind: 'applyThenReset' } },
    ours: { result: /^KLAVIYO_UNAVAILABLE$/, requests: 1, rows: 1 },
  },
  { title: '502 on a read', ...READ, fault: { preset: '502' }, ours: { result: /^10 rows$/, requests: 2 } },
  {
    title: 'event with uniqueId done, then 502',
    ...WITH_ID,
    fault: { fault: { kind: 'applyThenStatus', status: 502 } },
    ours: { result: /^done/, requests: 2, rows: 1 },
  },
  {
    title: 'event without uniqueId done, then 503',
    ...WITHOUT_ID,
    fault: { fault: { kind: 'applyThenStatus', status: 503 }, times: 2 },
    ours: { result: /^KLAVIYO_UNAVAILABLE$/, requests: 1, rows: 1 },
  },
  {
    title: 'create done, then 503',
    ...CREATE,
    fault: { fault: { kind: 'applyThenStatus', status: 503 } },
    ours: { result: /^KLAVIYO_UNAVAILABLE$/, requests: 1, rows: 1 },
  },
  {
    title: 'half of the JSON',
    ...READ,
    fault: { preset: 'truncated' },
    ours: { result: /^10 rows$/, requests: 2 },
  },
  { title: 'cut in mid-document', ...READ, fault: { preset: 'cut' }, ours: { result: /^10 rows$/, requests: 2 } },
  { title: 'HTML with 200', ...READ, fault: { preset: 'html-200' }, ours: { result: /^10 rows$/, requests: 2 } },
];
