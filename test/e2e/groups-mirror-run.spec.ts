import { differences } from '../support/mirror-digest';
import { openStage, until, type Reader, type ReadsStage } from './reads-stage';

const RESOURCES = ['lists', 'segments', 'memberships'];

describe('a synchronisation of lists, segments and memberships', () => {
  let stage: ReadsStage;
  let reader: Reader;

  beforeAll(async () => {
    stage = await openStage();
    const lists = Array.from({ length: 34 }, (_, index) => ({ name: `List ${String(index)}`, members: index }));
    reader = await stage.connect(1, {
      profiles: 3200,
      lists: [...lists, { name: 'Everybody', members: 3000 }],
      segments: [
        { name: 'Some', members: 450 },
        { name: 'None', members: 0 },
      ],
    });
  });

  afterAll(async () => {
    await stage.stop();
  });

  const control = <T = Record<string, unknown>>(method: string, path: string, body?: unknown) =>
    stage.sandbox.control<T>(method, `/accounts/${reader.account.id}${path}`, body);
  const run = async (mode: 'full' | 'incremental') => {
    const started = await stage.app.http
      .post('/api/v1/klaviyo/sync')
      .set(stage.app.asService)
      .send({ userId: reader.userId, mode, resources: RESOURCES });
    expect(started.status).toBe(202);
    const ended = await until(
      async () => (await reader.get(`/sync/${started.body.sync.id as string}`)).body.sync as { status: string },
      ({ status }) => !['queued', 'running'].includes(status),
      60_000,
    );
    expect(ended).toMatchObject({ status: 'succeeded', error: null });
    return ended as unknown as {
      progress: { resources: { resource: string; fetched: number; deleted: number; requests: number }[] };
    };
  };
  const compared = () =>
    differences(
      {
        sql: (text, params) => stage.sql(text, params),
        sandbox: stage.sandbox,
        userId: reader.userId,
        connectionId: reader.connectionId,
        accountId: reader.account.id,
      },
      RESOURCES,
    );
  const lists = async () => (await control<{ lists: { id: string; name: string }[] }>('GET', '/lists')).lists;
  const members = async (id: string) => (await control<{ members: string[] }>('GET', `/lists/${id}/members`)).members;

  it('holds afterwards what Klaviyo holds, row for row, with 35 lists and one of 3,000 members', async () => {
    const { progress } = await run('full');
    expect(await compared()).toEqual([]);
    const fetched = Object.fromEntries(progress.resources.map((resource) => [resource.resource, resource.fetched]));
    expect(fetched['lists']).toBeGreaterThanOrEqual(35);
    expect(fetched['memberships']).toBeGreaterThanOrEqual(3000 + 450 + (33 * 34) / 2);
  }, 90_000);

  it('finds in an incremental run who joined and what lists came and went', async () => {
    const [first, second] = await lists();
    const everybody = (await lists()).find(({ name }) => name === 'Everybody')!;
    const joiner = (await members(everybody.id)).find(Boolean)!;
    await control('DELETE', `/lists/${second!.id}`);
    await control('POST', `/lists/${first!.id}/members`, [joiner]);
    await control('POST', '/lists', { name: 'New' });
    const young = (await lists()).find(({ name }) => name === 'New')!;
    await control('POST', `/lists/${young.id}/members`, [{ id: joiner, joinedAt: '2021-01-01T00:00:00Z' }]);
    await run('incremental');
    expect(await compared()).toEqual([]);
    // Who left shows in a full run.
    const leaver = (await members(everybody.id)).at(-1)!;
    await control('DELETE', `/lists/${everybody.id}/members/${leaver}`);
    await run('incremental');
    expect((await compared()).map(({ extra }) => extra)).toEqual([[`${everybody.id}:${leaver}`]]);
    await run('full');
    expect(await compared()).toEqual([]);
  }, 120_000);

  it('counts and remembers', async () => {
    const everybody = (await lists()).find(({ name }) => name === 'Everybody')!;
    const { body } = await reader.get(`/lists/${everybody.id}`, { includeStats: true });
    expect(body.list.memberCount).toBe(2999);
    const { history } = (await reader.get(`/lists/${everybody.id}/history`)).body as {
      history: { memberCount: number; source: string }[];
    };
    expect(history[0]).toMatchObject({ memberCount: 2999, source: 'pass' });
    expect(await reader.requests('getList')).toEqual([]);
  });

  it('leaves nothing of a connection that is gone', async () => {
    await stage.app.http.delete('/api/v1/klaviyo/connect').set(stage.app.asService).query({ userId: reader.userId });
    const rows = () =>
      stage.sql(
        `SELECT connection_id FROM membership UNION ALL SELECT connection_id FROM mirrored_group
         UNION ALL SELECT connection_id FROM member_count_history`,
      );
    expect(await until(rows, (left) => left.length === 0, 30_000)).toEqual([]);
  });
});
