import { ConnectionService } from '../../../src/connection/connection.service';
import { ProfileMirrorService } from '../../../src/profiles/profile-mirror.service';
import type { SandboxAccount } from '../../support/sandbox';
import type { Stage } from './stage';
import { synchronising } from './synchronising';
import { managingWebhooks } from './webhooks';

/** A user with a connected account that has some of everything. */
interface Actor {
  userId: number;
  account: SandboxAccount;
  lists: { newsletter: string; vip: string; confirmed: string };
}

interface Row {
  id: string;
}

/** An address that filters and queries stumble over. */
const AWKWARD = "o'brien+x@y.fr";

/** Calls every feature in every variant of input, so that all that the service can send is sent. */
export async function tellStory(stage: Stage): Promise<void> {
  const actor = await connecting(stage);
  await subscribing(stage, actor);
  await consenting(stage, actor);
  await finding(stage, actor);
  await updating(stage, actor);
  await sendingEvents(stage, actor);
  await readingGroups(stage, actor);
  await readingPeople(stage, actor);
  await readingCampaigns(stage, actor);
  await writingLists(stage, actor);
  await synchronising(stage, actor.userId);
  await managingWebhooks(stage, actor.userId);
  await meetingTrouble(stage, actor);
  await stage.call(200, 'delete', '/connect', { userId: actor.userId });
}

async function connecting(stage: Stage): Promise<Actor> {
  const account = await stage.account({
    keys: [{}, {}],
    profiles: 30,
    lists: 23,
    segments: 12,
    campaigns: 40,
    // A status that no revision lists is another test's.
    futureStatus: false,
    events: 200,
    plan: { advancedKdp: true },
  });
  const userId = stage.newUser();
  const [first, second] = account.keys;
  const { body } = await stage.call(201, 'post', '/connect', { userId, privateApiKey: first });
  const id = (body.connection as Row).id;
  await stage.call(200, 'post', '/connect', { userId, privateApiKey: second, label: 'Shop' });
  await stage.call(200, 'patch', `/connections/${id}`, { userId, privateApiKey: first });
  await stage.call(200, 'get', '/connect', { userId, validate: true });
  const narrow = await stage.account({
    keys: [{ scopes: ['accounts:read', 'lists:read'] }, { scopes: ['lists:read'] }],
  });
  await stage.call(201, 'post', '/connect', { userId: stage.newUser(), privateApiKey: narrow.keys[0] });
  await stage.call(403, 'post', '/connect', { userId: stage.newUser(), privateApiKey: narrow.keys[1] });
  const unknown = { userId: stage.newUser(), privateApiKey: 'pk_0123456789abcdefghijklmnopqrstuv' };
  await stage.call(401, 'post', '/connect', unknown);
  const list = async (name: string, optIn: string) =>
    (await stage.sandbox.control<Row>('POST', `/accounts/${account.id}/lists`, { name, optIn })).id;
  const lists = {
    newsletter: await list('Newsletter', 'single_opt_in'),
    vip: await list('VIP', 'single_opt_in'),
    confirmed: await list('Confirmed', 'double_opt_in'),
  };
  return { userId, account, lists };
}

const EVERYTHING = {
  email: 'ada@example.com',
  phoneNumber: '+33612345678',
  externalId: 'crm-42',
  firstName: 'Ada',
  lastName: 'Byron',
  organization: 'Analytical & Co',
  title: 'Countess',
  image: 'https://example.com/ada.png',
  locale: 'fr-FR',
  location: {
    address1: '1 rue du Port',
    address2: 'Bât. B',
    city: 'Lyon',
    region: 'ARA',
    country: 'France',
    zip: '69001',
    timezone: 'Europe/Paris',
    latitude: 45.76,
    longitude: 4.83,
    ip: '192.0.2.7',
  },
  customAttributes: { role: 'pro', score: 3, vip: true, sizes: ['S', 'M'], nested: { deep: { er: null } } },
  tags: ['a', 'b'],
};

async function subscribing(stage: Stage, { userId, lists }: Actor): Promise<void> {
  const subscribe = (expected: number, input: object) =>
    stage.call(expected, 'post', '/subscribe', { userId, ...input });
  await subscribe(201, { profile: { email: 'plain@example.com' } });
  await subscribe(201, { profile: EVERYTHING, listId: lists.newsletter });
  await subscribe(200, { profile: EVERYTHING, listIds: [lists.newsletter, lists.vip, lists.confirmed] });
  await subscribe(201, { profile: { phoneNumber: '+33611111111' }, listId: lists.vip });
  await subscribe(201, { profile: { externalId: 'only-an-id' } });
  await subscribe(201, { profile: { email: AWKWARD, tags: ['x'], location: { city: 'Paris' } } });
  await subscribe(200, { profile: { email: AWKWARD, customAttributes: { role: null, kept: 1 } } });
  await subscribe(404, { profile: { email: 'nowhere@example.com' }, listId: 'NoList' });
  // The identifiers of two people.
  await subscribe(409, { profile: { email: 'plain@example.com', externalId: 'only-an-id' } });
}

async function consenting(stage: Stage, { userId, lists }: Actor): Promise<void> {
  const consent = (profile: object, given: object, where: object = {}) =>
    stage.call(201, 'post', '/subscribe', { userId, profile, consent: given, ...where });
  const past = '2024-01-02T03:04:05Z';
  await consent({ email: 'c1@example.com' }, { email: true }, { listId: lists.newsletter });
  await consent({ email: 'c2@example.com' }, { email: true, source: 'Checkout' }, { listId: lists.confirmed });
  await consent(
    { email: 'c3@example.com', phoneNumber: '+33622222222' },
    { email: true, sms: true },
    { listIds: [lists.vip, lists.newsletter] },
  );
  await consent({ phoneNumber: '+33633333333' }, { sms: true });
  await consent({ email: 'c4@example.com' }, { email: true });
  await consent({ email: 'c5@example.com' }, { email: true, consentedAt: past });
  await consent(
    { email: 'c6@example.com', phoneNumber: '+33644444444' },
    { email: true, sms: true, source: 'Shop', consentedAt: past },
    { listId: lists.confirmed },
  );
}

async function finding(stage: Stage, { userId }: Actor): Promise<void> {
  const find = (expected: number, by: object) => stage.call(expected, 'get', '/subscribe', { userId, ...by });
  const { body } = await find(200, { email: 'ada@example.com' });
  await find(200, { profileId: (body.profile as Row).id });
  await find(200, { email: 'ADA@Example.com' });
  await find(200, { email: AWKWARD });
  await find(200, { phoneNumber: '+33612345678' });
  await find(200, { externalId: 'crm-42' });
  await find(404, { externalId: `it's "quoted" \\ (and, bracketed)` });
  await find(404, { profileId: '01H0000000000000000000NONE' });
  await stage.call(200, 'get', '/update-contact', { userId });
  await stage.call(200, 'get', '/update-contact', { userId, email: 'ada@example.com' });
}

async function updating(stage: Stage, { userId, lists }: Actor): Promise<void> {
  const update = (expected: number, input: object) =>
    stage.call(expected, 'patch', '/update-contact', { userId, ...input });
  const by = { email: 'ada@example.com' };
  await update(200, { ...by, addTags: ['c'], removeTags: ['a'], unset: ['role'] });
  await update(200, { ...by, addTags: ['d'] });
  await update(200, { ...by, removeTags: ['d'] });
  await update(200, { ...by, profile: { tags: ['only', 'these'] } });
  await update(200, { ...by, profile: { tags: null, customAttributes: { score: null, fresh: [1, 'x'] } } });
  await update(200, { ...by, profile: { location: { city: null, latitude: null, zip: '69002' } } });
  await update(200, { ...by, profile: { location: null } });
  await update(200, { ...by, addListIds: [lists.confirmed], removeListIds: [lists.newsletter] });
  await update(200, { phoneNumber: '+33612345678', profile: EVERYTHING });
  const others = Object.keys(EVERYTHING).filter((name) => name !== 'email');
  const cleared = Object.fromEntries(others.map((name) => [name, null]));
  await update(200, { ...by, profile: { ...cleared, customAttributes: { role: null } } });
  await update(200, { externalId: 'only-an-id', profile: { email: 'moved@example.com', externalId: null } });
  await update(409, { ...by, profile: { email: 'moved@example.com' } });
  await update(404, { externalId: 'nobody', profile: { firstName: 'N' } });
}

async function sendingEvents(stage: Stage, { userId, account }: Actor): Promise<void> {
  const { profiles } = await stage.sandbox.control<{ profiles: Row[] }>('GET', `/accounts/${account.id}/profiles`);
  const profileId = profiles[0]?.id ?? '';
  const send = (event: object) =>
    stage.call(202, 'post', '/trigger-event', {
      userId,
      event: { eventType: 'Placed Order', eventData: { OrderId: '1', Items: [{ SKU: 'A', Quantity: 2 }] }, ...event },
    });
  const email = 'ada@example.com';
  await send({ profileId });
  await send({ profileId, value: 12.5, currency: 'EUR', uniqueId: 'order-1', time: '2026-10-01T10:00:00.123+02:00' });
  await send({ profile: { email } });
  await send({ profile: { phoneNumber: '+33655555555' } });
  await send({ profile: { externalId: 'crm-43' } });
  await send({ profile: { email, phoneNumber: '+33666666666', externalId: 'crm-44' }, value: 0 });
  await send({ profile: { email }, backfill: true, time: '1995-01-01T00:00:00Z' });
  await send({ profileId, backfill: true, currency: 'USD', value: 3 });
  await send({ eventType: 'viewed_product', eventData: { total: 9.99, currency: 'CHF', customer: { email } } });
  await send({
    eventType: 'A name of our own',
    eventData: { note: 'é "quoted"', empty: null, list: [] },
    profile: { email },
  });
  await stage.call(200, 'get', '/trigger-event', { userId });
}

async function readingGroups(stage: Stage, { userId }: Actor): Promise<void> {
  for (const [path, noun, one] of [
    ['/get-lists', 'lists', '/lists'],
    ['/get-segments', 'segments', '/segments'],
  ] as const) {
    const read = (input: object) => stage.call(200, 'get', path, { userId, source: 'live', ...input });
    const all = await read({});
    const [group] = all.body[noun] as Row[];
    await read({ name: 'list "with" quotes' });
    const page = await read({ limit: 11 });
    const cursor = page.body.pagination.nextCursor as string;
    await read({ limit: 5, cursor });
    await read({ limit: 1, includeStats: true });
    await stage.call(200, 'get', `${one}/${group?.id ?? ''}`, { userId });
    await stage.call(200, 'get', `${one}/${group?.id ?? ''}`, { userId, includeStats: true });
    await stage.call(404, 'get', `${one}/NoSuch`, { userId });
  }
}

async function readingPeople(stage: Stage, { userId, lists }: Actor): Promise<void> {
  const read = (input: object) => stage.call(200, 'get', '/profiles', { userId, source: 'live', ...input });
  for (const sort of ['id', '-id', 'updatedAt', '-updatedAt']) await read({ sort, limit: 2 });
  const page = await read({ limit: 5 });
  await read({ limit: 5, cursor: page.body.pagination.nextCursor as string });
  for (const email of ['Ada@Example.com', AWKWARD]) await read({ email });
  await read({ phoneNumber: '+33612345678', externalId: 'with "quotes" \\ and, commas' });
  await read({ updatedSince: '2026-01-01T00:00:00.5+02:00', updatedUntil: '2026-11-01T00:00:00Z' });
  await read({ listId: lists.newsletter, email: AWKWARD });
  const { body } = await stage.call(200, 'get', '/get-segments', { userId, source: 'live', limit: 1 });
  const [segment] = body.segments as Row[];
  await read({ segmentId: segment?.id, phoneNumber: '+33612345678' });
  for (const path of [`/lists/${lists.newsletter}`, `/segments/${segment?.id ?? ''}`])
    await stage.call(200, 'get', `${path}/profiles`, { userId, source: 'live', limit: 3 });
  await stage.call(404, 'get', '/lists/NoSuch/profiles', { userId });
  await stage.call(404, 'get', '/profiles/01H0000000000000000000NONE', { userId, source: 'live' });
  const known = page.body.profiles as Row[];
  const doings = `/profiles/${known[0]?.id ?? ''}/events`;
  const between = { from: '2025-01-01T00:00:00+02:00', to: '2027-01-01T00:00:00.5Z' };
  for (const input of [{}, { limit: 1 }, { metric: 'Placed Order', ...between }, { metricId: 'NoSuch' }])
    await stage.call(200, 'get', doings, { userId, source: 'live', ...input });
  await stage.call(404, 'get', '/profiles/01H0000000000000000000NONE/events', { userId, source: 'live' });
  const { app } = stage.app;
  const access = await app.get(ConnectionService).accessFor({ userId });
  await app.get(ProfileMirrorService).refresh(access, [known[0]?.id ?? '', '01H0000000000000000000NONE']);
}

async function writingLists(stage: Stage, { userId }: Actor): Promise<void> {
  await stage.call(201, 'post', '/lists', { userId, name: 'Made é "quoted"' });
  const { body } = await stage.call(201, 'post', '/lists', { userId, name: 'x', optInProcess: 'double_opt_in' });
  await stage.call(400, 'post', '/lists', { userId, name: ' ' });
  const found = await stage.call(200, 'get', '/subscribe', { userId, email: 'ada@example.com' });
  const path = `/lists/${(body.list as Row).id}/profiles`;
  const profileId = (found.body.profile as Row).id;
  await stage.call(202, 'post', path, { userId, profileIds: [profileId, '01H0000000000000000000NONE'] });
  await stage.call(202, 'delete', path, { userId, profileIds: profileId });
  await stage.call(404, 'get', '/lists/NoSuch/history', { userId });
}

async function readingCampaigns(stage: Stage, { userId }: Actor): Promise<void> {
  const read = (input: object) => stage.call(200, 'get', '/get-campaigns', { userId, source: 'live', ...input });
  const { body } = await read({ channel: 'all' });
  const campaigns = body.campaigns as Row[];
  await read({ channel: 'sms', archived: true, status: 'draft,sent' });
  await read({ channel: 'push', archived: false, from: '2026-01-01T00:00:00Z', to: '2026-11-01T00:00:00Z' });
  const page = await read({ limit: 3 });
  await read({ limit: 3, cursor: page.body.pagination.nextCursor as string });
  await read({ includeStats: true, limit: 5 });
  await stage.call(200, 'get', `/campaigns/${campaigns[0]?.id ?? ''}`, { userId });
  await stage.call(200, 'get', `/campaigns/${campaigns[1]?.id ?? ''}`, { userId, includeStats: true });
  await stage.call(404, 'get', '/campaigns/01H0000000000000000000NONE', { userId });
}

/** Klaviyo's errors as recorded, so that their documents are held against the files too. */
async function meetingTrouble(stage: Stage, { userId, account }: Actor): Promise<void> {
  const troubles: [string, number][] = [
    ['400', 400],
    ['403-scope', 403],
    ['404', 502],
    ['410', 502],
    ['429', 200],
    ['500', 200],
    ['503', 200],
  ];
  for (const [preset, expected] of troubles) {
    await stage.sandbox.fault(account.id, { preset, match: { operation: 'getSegments' } });
    await stage.call(expected, 'get', '/get-segments', { userId, source: 'live', limit: 1 });
  }
}
