// The two clients that the benchmarks hold side by side: ours, out of the built service, and Klaviyo's own SDK.

/** What both clients are asked to do. Everything they throw is passed on as it is. */
export interface Peer {
  name: 'ours' | 'klaviyo-api';
  /** Every page of the account's profiles, 100 rows each; gives the rows of each page. */
  profilePages(): AsyncGenerator<number>;
  /** One small answer: a single list, by id. */
  list(id: string): Promise<number>;
  /** The first page of lists: how many rows, or in words what else came of it. */
  lists(): Promise<number | string>;
  /** `POST /api/profiles`: must not be repeated once it may have been done. */
  createProfile(email: string): Promise<string>;
  /** `POST /api/profile-import`: may be repeated. */
  upsertProfile(email: string): Promise<string>;
  /** `POST /api/events`. With `uniqueId` it may be repeated; without, each arrival is one more event. */
  createEvent(email: string, uniqueId?: string): Promise<string>;
  /** What an error of this client says of itself, in a few words. */
  say(error: unknown): string;
  close(): Promise<void>;
}

export type PeerName = Peer['name'];

/** Where a peer's requests go. */
export interface Target {
  sandboxUrl: string;
  accountId: string;
  key: string;
}

export const METRIC = 'Benchmark';
