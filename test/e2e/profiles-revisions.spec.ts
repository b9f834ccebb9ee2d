import { setStage, type Stage } from './profiles-stage';

describe.each([
  ['2023-10-15', '2025-01-15'],
  ['2025-01-15', '2025-01-15'],
  ['2026-07-15', '2026-07-15'],
])('people under KLAVIYO_API_REVISION %s', (revision, served) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await setStage({ env: { KLAVIYO_API_REVISION: revision } });
  });
  afterAll(async () => {
    await stage.stop();
  });

  it('subscribes, finds, changes and remembers', async () => {
    const { call, lists } = stage;
    const profile = { email: 'ada@example.com', locale: 'fr-FR', tags: ['a'], customAttributes: { role: 'pro' } };
    const created = await call('post', '/subscribe', { profile, listId: lists.newsletter });
    expect([created.status, created.body.lists[0].status]).toEqual([201, 'added']);
    expect(created.body.profile).toMatchObject({ ...profile, subscriptions: { email: { suppressions: [] } } });
    const updated = await call('post', '/subscribe', {
      profile: { email: 'ada@example.com', phoneNumber: '+33612345678', tags: ['b'] },
      listIds: [lists.vip],
      consent: { email: true, sms: true },
    });
    expect([updated.status, updated.body.lists[0].status]).toEqual([200, 'requested']);
    const id = updated.body.profile.id as string;
    const found = await call('get', '/subscribe', { profileId: id });
    expect(found.body.profile).toMatchObject({ id, tags: ['a', 'b'], phoneNumber: '+33612345678' });
    const changed = await call('patch', '/update-contact', {
      email: 'ada@example.com',
      profile: { firstName: 'Ada', locale: null, customAttributes: { role: null } },
      addTags: ['c'],
      removeTags: ['a'],
      addListIds: [lists.vip],
      removeListIds: [lists.newsletter],
    });
    expect(changed.body).toMatchObject({ profile: { id, firstName: 'Ada', locale: null, tags: ['b', 'c'] } });
    const looked = await call('get', '/update-contact', { profileId: id });
    expect(looked.body.history[0].changes).toEqual(changed.body.changes);
  });

  it('records consent of the past, with a list and without', async () => {
    const { call, lists } = stage;
    const consent = { email: true, consentedAt: '2024-01-02T03:04:05Z' };
    for (const where of [{ listId: lists.confirmed }, {}]) {
      const answer = await call('post', '/subscribe', { profile: { email: 'old@example.com' }, ...where, consent });
      expect(answer.body.subscription).toEqual({ email: 'requested' });
    }
  });

  it('refuses identifiers of two people', async () => {
    const one = await stage.seed({ email: 'one@example.com' });
    const two = await stage.seed({ external_id: 'two' });
    const profile = { email: 'one@example.com', externalId: 'two' };
    const answer = await stage.call('post', '/subscribe', { profile });
    expect(answer.status).toBe(409);
    expect([...answer.body.profileIds].sort()).toEqual([one, two].sort());
    const change = { profileId: one, profile: { externalId: 'two' } };
    const moved = await stage.call('patch', '/update-contact', change);
    expect(moved.body).toMatchObject({ code: 'PROFILE_CONFLICT', profileIds: [one, two] });
  });

  it('sends every call under the base, or under the oldest checked revision that has what it uses', async () => {
    const requests = await stage.sandbox.requests(stage.account.id);
    const sent = new Set(requests.map((request) => request.revision));
    expect([...sent].every((date) => date === revision || (date ?? '') >= '2025-01-15')).toBe(true);
    expect(new Set(requests.map((request) => request.effectiveRevision))).toEqual(new Set([served]));
    expect(requests.map(({ status }) => status).filter((status) => status >= 400 && status !== 409)).toEqual([]);
  });
});
