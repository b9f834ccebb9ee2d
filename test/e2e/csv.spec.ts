import { startApp, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox } from '../support/sandbox';

describe('tables as CSV', () => {
  let sandbox: Sandbox;
  let app: RunningApp;

  beforeAll(async () => {
    sandbox = await startSandbox();
    app = await startApp({ klaviyoUrl: sandbox.url });
    const account = await sandbox.createAccount({
      limits: 'huge',
      lists: [{ name: '=HYPERLINK("x")' }, { name: 'Été, hiver' }],
      segments: 2,
      campaigns: 3,
    });
    await app.http
      .post('/api/v1/klaviyo/connect')
      .set(app.asService)
      .send({ userId: 7, privateApiKey: account.key })
      .expect(201);
  });

  afterAll(async () => {
    await app.stop();
    await sandbox.stop();
  });

  const csv = (path: string) =>
    app.http.get(`/api/v1/klaviyo/${path}`).set(app.asService).set('X-User-Id', '7').set('Accept', 'text/csv');

  it.each([
    ['get-lists', 'id,name,optInProcess,createdAt,updatedAt,memberCount,memberCountAt', 2],
    ['get-segments', 'id,name,isActive,isProcessing,isStarred,createdAt,updatedAt,memberCount,memberCountAt', 2],
    ['events', 'id,eventType,uniqueId,status,profile.id,profile.email', 0],
  ])('%s', async (path, header, rows) => {
    const answer = await csv(path);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/csv; charset=utf-8');
    expect(answer.headers.vary).toBe('Origin, Accept');
    const lines = answer.text.split('\r\n');
    expect(lines[0]!.startsWith(header)).toBe(true);
    expect(lines).toHaveLength(rows + 2);
  });

  it('makes formulas harmless and says the next cursor in a header', async () => {
    const answer = await csv('get-lists?limit=1');
    expect(answer.text).toContain(`"'=HYPERLINK(""x"")"`);
    const cursor = answer.headers['x-next-cursor'] as string;
    const next = await csv(`get-lists?limit=1&cursor=${encodeURIComponent(cursor)}`);
    expect(next.text).toContain('"Été, hiver"');
    expect(next.headers['x-next-cursor']).toBeUndefined();
  });

  it('answers errors as problem documents all the same', async () => {
    const answer = await csv('get-campaigns?status=lost');
    expect(answer.status).toBe(400);
    expect(answer.headers['content-type']).toContain('application/problem+json');
  });
});
