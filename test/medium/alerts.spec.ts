import { createHmac, randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { AlertSender } from '../../src/observability/alert-sender';
import { Alerts, type Incident } from '../../src/observability/alerts';
import { postSigned } from '../../src/observability/signed-post';
import { createDatabase, type TestDatabase } from '../support/database';
import { json, OddServer, startClient, type ClientUnderTest } from './klaviyo-harness';

const SECRET = `whsec_${randomBytes(32).toString('base64')}`;
const CONNECTION = '0190c7a0-0000-7000-8000-000000000000';

const incident = (key: string): Incident => ({
  type: 'connection.key_refused',
  key,
  severity: 'error',
  userId: 42,
  connectionId: CONNECTION,
  summary: `Klaviyo refused a key (${key}).`,
});

describe('alerts', () => {
  let database: TestDatabase;
  let sql: Client;
  let receiver: OddServer;
  /** What the receiver answers next; then 204. */
  let answers: number[] = [];
  const replicas: ClientUnderTest[] = [];

  beforeAll(async () => {
    database = await createDatabase();
    sql = new Client({ connectionString: database.url });
    await sql.connect();
    receiver = await OddServer.start((response) => {
      const status = answers.shift() ?? 204;
      if (status === 302) response.writeHead(302, { location: `${receiver.url}/elsewhere` }).end();
      else response.writeHead(status).end();
    });
    const env = { ALERT_WEBHOOK_URL: `${receiver.url}/hook`, ALERT_WEBHOOK_SECRET: SECRET };
    for (let count = 0; count < 2; count += 1)
      replicas.push(await startClient('http://127.0.0.1:9', env, undefined, database));
  });
  afterAll(async () => {
    for (const replica of replicas) await replica.stop();
    await receiver.stop();
    await sql.end();
    await database.drop();
  });
  beforeEach(async () => {
    await sql.query('DELETE FROM alert_incident');
    receiver.received.length = 0;
    answers = [];
  });

  const alerts = (replica = 0) => replicas[replica]!.get(Alerts);
  const wake = () => replicas.forEach((replica) => replica.get(AlertSender).wake());
  const messages = () => receiver.received.map(({ body }) => JSON.parse(body) as { data: { resolved: boolean } });
  const until = async (condition: () => boolean | Promise<boolean>) => {
    const deadline = Date.now() + 8000;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error('not in time');
      await new Promise((done) => setTimeout(done, 20));
    }
  };
  const row = async () => (await sql.query<Record<string, unknown>>('SELECT * FROM alert_incident')).rows[0];
  const nothingDue = () => until(async () => (await row())?.['next_attempt_at'] === null);
  /** Time for a message that must not come. */
  const quiet = async () => {
    wake();
    await new Promise((done) => setTimeout(done, 150));
  };

  it('tell once when something begins and once when it is over, signed', async () => {
    alerts().raise(incident('a'));
    alerts().raise(incident('a'));
    await until(() => receiver.received.length === 1);
    await nothingDue();
    alerts().raise(incident('a'));
    await quiet();
    expect(receiver.received).toHaveLength(1);
    alerts().resolve('a');
    alerts().resolve('a');
    await until(() => receiver.received.length === 2);
    await quiet();
    expect(receiver.received).toHaveLength(2);

    const [begun, over] = messages();
    expect(begun).toEqual({
      type: 'connection.key_refused',
      severity: 'error',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      data: {
        userId: 42,
        connectionId: CONNECTION,
        summary: 'Klaviyo refused a key (a).',
        since: expect.stringMatching(/^\d{4}-/),
        resolved: false,
      },
    });
    expect(over).toMatchObject({ data: { ...begun?.data, resolved: true } });
    const ids = receiver.received.map(({ method, url, headers, body }) => {
      expect([method, url, headers['content-type']]).toEqual(['POST', '/hook', 'application/json']);
      const [id, timestamp] = [String(headers['webhook-id']), String(headers['webhook-timestamp'])];
      const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
      const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
      expect(headers['webhook-signature']).toBe(`v1,${signature}`);
      expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60);
      return id;
    });
    expect(new Set(ids).size).toBe(2);
  });

  it('tell once what two replicas find at the same time, and again when it comes back', async () => {
    for (const replica of [0, 1]) alerts(replica).raise(incident('b'));
    await until(() => receiver.received.length === 1);
    await quiet();
    expect(receiver.received).toHaveLength(1);
    // The replica that did not tell may find that it is over.
    alerts(1).resolve('b');
    await until(() => receiver.received.length === 2);
    await nothingDue();
    alerts(1).raise(incident('b'));
    await until(() => receiver.received.length === 3);
    expect(messages().map(({ data }) => data.resolved)).toEqual([false, true, false]);
  });

  it('are tried again until they are taken, as the same message', async () => {
    answers = [500, 404];
    alerts().raise(incident('c'));
    for (const attempts of [1, 2]) {
      await until(async () => (await row())?.['attempts'] === attempts);
      expect((await row())?.['next_attempt_at']).toBeInstanceOf(Date);
      await sql.query('UPDATE alert_incident SET next_attempt_at = now()');
      wake();
    }
    await until(async () => (await row())?.['told_at'] instanceof Date);
    const [first, ...rest] = receiver.received;
    expect(rest).toHaveLength(2);
    for (const again of rest)
      expect([again.headers['webhook-id'], again.body]).toEqual([first?.headers['webhook-id'], first?.body]);
  });

  it('are given up when the receiver wants no more, or after about a day', async () => {
    answers = [410];
    alerts().raise(incident('d'));
    await until(() => receiver.received.length === 1);
    await nothingDue();
    await sql.query(`DELETE FROM alert_incident`);
    answers = [500];
    alerts().raise(incident('e'));
    await until(async () => (await row())?.['attempts'] === 1);
    answers = [500];
    await sql.query('UPDATE alert_incident SET next_attempt_at = now(), attempts = 11');
    wake();
    await nothingDue();
  });

  it('follow no redirect', async () => {
    answers = [302];
    alerts().raise(incident('f'));
    await until(async () => (await row())?.['attempts'] === 1);
    expect(receiver.received.map(({ url }) => url)).toEqual(['/hook']);
  });

  it('tell in one message what began and ended before anybody could be told', async () => {
    answers = [500];
    alerts().raise(incident('g'));
    await until(async () => (await row())?.['attempts'] === 1);
    alerts().resolve('g');
    await until(() => receiver.received.length === 2);
    await quiet();
    expect(messages().map(({ data }) => data.resolved)).toEqual([false, true]);
    await nothingDue();
  });

  it('tell of what comes and goes as of one incident', async () => {
    alerts().raise(incident('k'));
    await until(() => receiver.received.length === 1);
    await nothingDue();
    for (let time = 0; time < 3; time += 1) {
      alerts().resolve('k', 60);
      await until(async () => (await row())?.['resolved_at'] instanceof Date);
      alerts(time % 2).raise(incident('k'));
      await until(async () => (await row())?.['resolved_at'] === null);
    }
    await quiet();
    expect(receiver.received).toHaveLength(1);
    alerts().resolve('k', 60);
    await until(async () => (await row())?.['resolved_at'] instanceof Date);
    await sql.query('UPDATE alert_incident SET next_attempt_at = now()');
    wake();
    await until(() => receiver.received.length === 2);
    expect(messages().map(({ data }) => data.resolved)).toEqual([false, true]);
    expect((await sql.query('SELECT FROM alert_incident')).rowCount).toBe(1);
  });

  it('do nothing where nobody knew that anything had begun', async () => {
    alerts().resolve('never');
    alerts().resolveKnown('never');
    await quiet();
    expect(receiver.received).toEqual([]);
  });

  it('never disturb whoever raises them, database or none', async () => {
    const gone = await createDatabase();
    const env = { ALERT_WEBHOOK_URL: `${receiver.url}/hook` };
    const client = await startClient('http://127.0.0.1:9', env, undefined, gone);
    await gone.drop();
    expect(() => client.get(Alerts).raise(incident('h'))).not.toThrow();
    expect(() => client.get(Alerts).resolve('h')).not.toThrow();
    await until(() => client.logs.lines.some(({ line }) => JSON.stringify(line).includes('could not be written down')));
    await client.stop();
  });

  it('go unsigned where no secret is set, and nowhere where no address is', async () => {
    const unsigned = await startClient('http://127.0.0.1:9', { ALERT_WEBHOOK_URL: `${receiver.url}/plain` });
    unsigned.get(Alerts).raise(incident('i'));
    await until(() => receiver.received.length === 1);
    expect(receiver.received[0]?.headers).not.toHaveProperty('webhook-signature');
    expect(receiver.received[0]?.headers['webhook-id']).toBeTruthy();
    await unsigned.stop();
    const silent = await startClient('http://127.0.0.1:9');
    silent.get(Alerts).raise(incident('j'));
    expect(JSON.stringify(silent.logs.lines)).toContain('alert: Klaviyo refused a key (j).');
    await silent.stop();
  });
});

describe('a signed message', () => {
  const post = (url: string, timeoutMs = 2000) =>
    postSigned({ url, secret: undefined, id: 'x', body: '{}', now: Date.now(), timeoutMs });

  it.each([
    'http://169.254.169.254/latest/meta-data',
    'https://169.254.169.254/',
    'http://0xa9fea9fe/',
    'http://[::ffff:169.254.169.254]/',
    'http://[::ffff:a9fe:a9fe]/',
    'https://[fe80::1]/',
    'https://[fd00:ec2::254]/',
    'https://100.100.100.200/',
    'https://0.0.0.0/',
    'https://[::]/',
    'https://224.0.0.1/',
    'https://[64:ff9b::a9fe:a9fe]/',
  ])('goes to no link-local or metadata address: %s', async (url) => {
    expect(await post(url)).toEqual({
      kind: 'failed',
      reason: 'link-local, metadata and multicast addresses are refused',
    });
  });

  it('goes over plain http to private addresses only', async () => {
    expect(await post('http://93.184.215.14/')).toEqual({
      kind: 'failed',
      reason: 'plain http goes to private and loopback addresses only',
    });
  });

  it('goes to a name by the addresses that were judged', async () => {
    const server = await OddServer.start((response) => json(response, 200, {}));
    const url = new URL(server.url);
    url.hostname = 'localhost';
    expect(await post(url.href)).toEqual({ kind: 'answer', status: 200 });
    await server.stop();
  });

  it('waits no longer than it is told to, and says no address in its reason', async () => {
    const server = await OddServer.start(() => undefined);
    expect(await post(server.url, 100)).toEqual({ kind: 'failed', reason: 'no answer in time' });
    await server.stop();
    expect(await post(server.url)).toEqual({ kind: 'failed', reason: 'ECONNREFUSED' });
  });
});
