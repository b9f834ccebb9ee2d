import { Clock } from '../../src/common/clock';
import { startSandbox, type SandboxAccountOptions } from '../support/sandbox';
import { openStage, type Row } from './reads-stage';

const API = '/api/v1/klaviyo';
const TODAY = Date.parse('2026-11-22T12:00:00Z');
const AFTER_THE_NEXT_RETIREMENT = Date.parse('2027-02-01T12:00:00Z');

/** How the service is set and how Klaviyo takes it. */
interface Setting {
  base: string;
  now: number;
  /** Klaviyo still honours what it has retired: how it really treats an old header was never recorded. */
  honoured?: boolean;
}

/** What callers see of one setting: every value by the place where it stands, `lists[2].name`. */
type Seen = ReadonlyMap<string, readonly unknown[]>;

class ShiftedClock extends Clock {
  constructor(private readonly offsetMs: number) {
    super();
  }

  override now(): number {
    return Date.now() + this.offsetMs;
  }
}

/** The same rows in every setting. */
const ACCOUNT: SandboxAccountOptions = {
  seed: 7,
  asOf: '2026-11-20T00:00:00Z',
  profiles: 40,
  segments: 3,
  lists: [
    { name: 'Newsletter', optIn: 'single_opt_in', members: 5 },
    { name: 'Confirmed', optIn: 'double_opt_in' },
  ],
  campaigns: 24,
  events: 300,
  asyncDelayMs: 0,
  plan: { advancedKdp: true },
};

/** Plays a user's whole day, outside only, and notes every answer. */
async function seenUnder({ base, now, honoured }: Setting): Promise<{ seen: Seen; warnings: string[] }> {
  const sandbox = await startSandbox();
  await sandbox.clock({ now });
  const stage = await openStage(
    { env: { KLAVIYO_API_REVISION: base, ROLE: 'api' }, clock: new ShiftedClock(now - Date.now()) },
    sandbox,
  );
  try {
    const { app } = stage;
    const reader = await stage.connect(1, { ...ACCOUNT, revisions: { timeMachine: honoured === true } });
    const seen = new Map<string, unknown[]>();
    const note = (name: string, answer: { status: number; body: unknown }) => {
      seen.set(`${name} answered`, [answer.status]);
      flatten(seen, name, answer.body);
    };
    const get = async (name: string, path: string, query: Record<string, string | boolean | number> = {}) => {
      const answer = await reader.get(path, query);
      note(name, answer);
      return answer.body;
    };
    const send = async (name: string, method: 'post' | 'patch', path: string, body: object) => {
      const answer = await app.http[method](`${API}${path}`)
        .set({ ...app.asService, 'Accept-Language': 'en' })
        .send({ userId: 1, ...body });
      note(name, answer);
    };
    await get('connect', '/connect');
    const { lists } = (await get('lists', '/get-lists', { includeStats: true })) as { lists: Row[] };
    await get('list', `/lists/${lists[0]!.id}`, { includeStats: true });
    await get('segments', '/get-segments');
    const { campaigns } = (await get('campaigns', '/get-campaigns', { channel: 'all' })) as { campaigns: Row[] };
    await get('campaign', `/campaigns/${campaigns.find(({ status }) => status === 'sent')!.id}`, {
      includeStats: true,
    });
    const email = 'ada@example.com';
    const profile = {
      email,
      phoneNumber: '+33612345678',
      locale: 'fr-FR',
      tags: ['a'],
      customAttributes: { role: 'pro' },
    };
    await send('subscribe', 'post', '/subscribe', { profile, listId: lists[0]!.id });
    await send('consent', 'post', '/subscribe', {
      profile: { email, phoneNumber: '+33612345678' },
      listIds: lists.map(({ id }) => id),
      consent: { email: true, sms: true, consentedAt: '2024-01-02T03:04:05Z' },
    });
    await send('update', 'patch', '/update-contact', {
      email,
      profile: { firstName: 'Ada', locale: null },
      addTags: ['b'],
      removeTags: ['a'],
    });
    await get('contact', '/subscribe', { email });
    const event = { eventType: 'Placed Order', eventData: { OrderId: '1' }, profile: { email }, uniqueId: '1' };
    await send('event', 'post', '/trigger-event', { event });
    await send('priced', 'post', '/trigger-event', { event: { ...event, uniqueId: '2', value: 9.5, currency: 'EUR' } });
    await send('backfilled', 'post', '/trigger-event', { event: { ...event, uniqueId: '3', backfill: true } });
    await send('early', 'post', '/trigger-event', { event: { ...event, uniqueId: '4', time: '1995-06-01T00:00:00Z' } });
    await get('types', '/trigger-event');
    const warnings = app.logs.entries.filter(({ msg }) => String(msg).includes('KLAVIYO_API_REVISION'));
    return { seen, warnings: warnings.map(({ msg }) => String(msg)) };
  } finally {
    await stage.stop();
    await sandbox.stop();
  }
}

/** What is made anew each time: our ids, Klaviyo's ids of people, moments of now. */
const ANEW = [/^[0-9a-f]{8}-[0-9a-f-]{27}$/, /^01[0-9A-Z]{24}$/];
const HOUR_MS = 3_600_000;

function isAnew(value: string): boolean {
  if (ANEW.some((pattern) => pattern.test(value))) return true;
  if (!/^\d{4}-\d\d-\d\dT/.test(value)) return false;
  // The service's clock, or the database's, which nobody sets.
  return [TODAY, AFTER_THE_NEXT_RETIREMENT, Date.now()].some((now) => Math.abs(Date.parse(value) - now) < HOUR_MS);
}

function flatten(seen: Map<string, unknown[]>, place: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value))
      flatten(seen, Array.isArray(value) ? `${place}[]` : `${place}.${name}`, inner);
    return;
  }
  const known = typeof value === 'string' && isAnew(value) ? 'anew' : value;
  seen.set(place, [...(seen.get(place) ?? []), known]);
}

/** Places where callers see something else than under the newest revision. */
function differing(seen: Seen, newest: Seen): string[] {
  const places = [...new Set([...seen.keys(), ...newest.keys()])];
  return places.filter((place) => JSON.stringify(seen.get(place)) !== JSON.stringify(newest.get(place))).sort();
}

/** An event of 1995: Klaviyo takes it since 2026-04-15, or as backfill, which is always sent under a younger revision. */
const EARLY_EVENT = /^early\./;
/** What answers under 2023-10-15 did not hold while it lived. */
const UNKNOWN_THEN = /^(lists?\.lists?(\[\])?\.optInProcess|segments\.segments\[\]\.is[A-Z]\w+)$/;

describe.each<[string, Setting, { differ: RegExp[]; warned: RegExp | null }]>([
  ['2026-07-15', { base: '2026-07-15', now: TODAY }, { differ: [], warned: null }],
  ['2025-01-15', { base: '2025-01-15', now: TODAY }, { differ: [EARLY_EVENT], warned: null }],
  [
    '2023-10-15',
    { base: '2023-10-15', now: TODAY },
    { differ: [EARLY_EVENT], warned: /2023-10-15 was retired by Klaviyo on 2025-10-15: .* answers it as 2025-01-15/ },
  ],
  [
    '2023-10-15, should Klaviyo still honour it',
    { base: '2023-10-15', now: TODAY, honoured: true },
    // Consent of the past warns of lists that are known to ask; a locale that was not read did not change.
    { differ: [EARLY_EVENT, UNKNOWN_THEN, /^consent\.warnings\[\]$/, /^update\.changes\[\]/], warned: /2025-10-15/ },
  ],
  [
    '2025-01-15, once it has retired',
    { base: '2025-01-15', now: AFTER_THE_NEXT_RETIREMENT },
    { differ: [EARLY_EVENT], warned: /2025-01-15 was retired by Klaviyo on 2027-01-15: .* answers it as 2025-04-15/ },
  ],
])('under %s', (_, setting, { differ, warned }) => {
  let newest: Seen;
  let under: Awaited<ReturnType<typeof seenUnder>>;

  beforeAll(async () => {
    newest = (await newestSeen()).seen;
    under = await seenUnder(setting);
  }, 90_000);

  it('every feature works', () => {
    const { seen } = under;
    const early = differ.includes(EARLY_EVENT) ? 400 : 202;
    expect(Object.fromEntries([...seen].filter(([place]) => place.endsWith(' answered')))).toEqual({
      'connect answered': [200],
      'lists answered': [200],
      'list answered': [200],
      'segments answered': [200],
      'campaigns answered': [200],
      'campaign answered': [200],
      'subscribe answered': [201],
      'consent answered': [200],
      'update answered': [200],
      'contact answered': [200],
      'event answered': [202],
      'priced answered': [202],
      'backfilled answered': [202],
      'early answered': [early],
      'types answered': [200],
    });
    const areas = [...seen].filter(([place]) => /capabilities\.\w+\.read$/.test(place));
    expect(areas.length).toBeGreaterThan(6);
    expect(areas.filter(([, values]) => values.join() !== 'ok')).toEqual([]);
    expect(seen.get('campaign.campaign.stats.recipients')).toEqual([expect.any(Number)]);
    expect(seen.get('list.list.memberCount')).toEqual([5]);
    expect(seen.get('contact.profile.tags[]')).toEqual(['b']);
    expect(seen.get('contact.profile.subscriptions.email.consent')).toEqual(['SUBSCRIBED']);
    expect(['event', 'priced', 'backfilled'].map((name) => seen.get(`${name}.event.status`))).toEqual([
      ['sent'],
      ['sent'],
      ['sent'],
    ]);
  });

  it('callers see what they see under the newest, but for what is said here', () => {
    const unexpected = differing(under.seen, newest).filter(
      (place) => !place.endsWith(' answered') && !differ.some((known) => known.test(place)),
    );
    expect(unexpected).toEqual([]);
    for (const known of differ) expect(differing(under.seen, newest).some((place) => known.test(place))).toBe(true);
  });

  it(
    warned === null ? 'the start warns of nothing' : 'the start warns once, with the date and what Klaviyo does',
    () => {
      expect(under.warnings).toEqual(warned === null ? [] : [expect.stringMatching(warned)]);
    },
  );
});

let remembered: ReturnType<typeof seenUnder> | undefined;

function newestSeen(): ReturnType<typeof seenUnder> {
  remembered ??= seenUnder({ base: '2026-07-15', now: TODAY });
  return remembered;
}
