// Klaviyo's own SDK for Node, pointed at the sandbox: the peer that our client is measured beside.
import { createRequire } from 'node:module';
import type * as Sdk from 'klaviyo-api';
import { METRIC, type Peer, type Target } from './peers.ts';

const { ApiKeySession, EventEnum, EventsApi, ListsApi, MetricEnum, ProfileEnum, ProfilesApi } = createRequire(
  import.meta.url,
)('klaviyo-api') as typeof Sdk;

/** What a synchronisation is held beside: the SDK's own loops over all pages, the largest that Klaviyo gives. */
export interface SdkLoops {
  /** Profiles with their consent. */
  wholeProfilePages(): AsyncGenerator<number>;
  eventPages(): AsyncGenerator<number>;
}

/** The SDK with its own defaults; only the host is another one. */
export function officialSdk({ sandboxUrl, key }: Pick<Target, 'sandboxUrl' | 'key'>): Peer & SdkLoops {
  const session = new ApiKeySession(key);
  const profiles = new ProfilesApi(session);
  const lists = new ListsApi(session);
  const events = new EventsApi(session);
  for (const api of [profiles, lists, events]) api.basePath = sandboxUrl;
  return {
    name: 'klaviyo-api',
    async *profilePages() {
      let pageCursor: string | undefined;
      do {
        const { body } = await profiles.getProfiles({
          pageSize: 100,
          ...(pageCursor === undefined ? {} : { pageCursor }),
        });
        yield body.data.length;
        pageCursor = cursorOf(body.links?.next);
      } while (pageCursor !== undefined);
    },
    async *wholeProfilePages() {
      let pageCursor: string | undefined;
      do {
        const { body } = await profiles.getProfiles({
          pageSize: 100,
          sort: 'created',
          additionalFieldsProfile: ['subscriptions'],
          ...(pageCursor === undefined ? {} : { pageCursor }),
        });
        yield body.data.length;
        pageCursor = cursorOf(body.links?.next);
      } while (pageCursor !== undefined);
    },
    async *eventPages() {
      let pageCursor: string | undefined;
      do {
        const { body } = await events.getEvents({
          pageSize: 1000,
          sort: 'datetime',
          ...(pageCursor === undefined ? {} : { pageCursor }),
        });
        yield body.data.length;
        pageCursor = cursorOf(body.links?.next);
      } while (pageCursor !== undefined);
    },
    async list(id) {
      const { body } = await lists.getList(id);
      return body.data.id === id ? 1 : 0;
    },
    async lists() {
      const { body } = await lists.getLists({ pageSize: 10 });
      // What is no document comes out as a success all the same, with nothing in it.
      const { data } = body as Partial<typeof body>;
      return data?.length ?? 'success without data';
    },
    async createProfile(email) {
      const data = { type: ProfileEnum.Profile, attributes: { email } };
      return done(await profiles.createProfile({ data }));
    },
    async upsertProfile(email) {
      const data = { type: ProfileEnum.Profile, attributes: { email } };
      return done(await profiles.createOrUpdateProfile({ data }));
    },
    async createEvent(email, uniqueId) {
      const attributes = {
        properties: {},
        ...(uniqueId === undefined ? {} : { uniqueId }),
        metric: { data: { type: MetricEnum.Metric, attributes: { name: METRIC } } },
        profile: { data: { type: ProfileEnum.Profile, attributes: { email } } },
      };
      return done(await events.createEvent({ data: { type: EventEnum.Event, attributes } }));
    },
    say,
    close: () => Promise.resolve(),
  };
}

/** The SDK takes the cursor out of https addresses alone; the sandbox speaks http. */
function cursorOf(next: string | null | undefined): string | undefined {
  return next ? (new URL(next).searchParams.get('page[cursor]') ?? undefined) : undefined;
}

function done({ response }: { response: { status: number } }): string {
  return `done (${response.status})`;
}

function say(error: unknown): string {
  const { code, message, response } = error as { code?: string; message?: string; response?: { status: number } };
  if (response !== undefined) return `error ${response.status}`;
  return `error ${code ?? (message ?? String(error)).slice(0, 60)}`;
}
