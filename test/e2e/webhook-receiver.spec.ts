import { WebhookSecrets } from '../../src/webhooks/webhooks.secrets';
import { klaviyoEvent, ReceiverStage, sign, type Hook } from './webhook-receiver-stage';

let stage: ReceiverStage;
let hook: Hook;

beforeAll(async () => {
  stage = await ReceiverStage.open();
}, 60_000);
afterAll(async () => {
  await stage.stop();
});
beforeEach(async () => {
  hook = await stage.hook();
});

const ids = (rows: readonly Record<string, unknown>[]) => rows.map((row) => row['external_id']);
const events = (count: number, prefix = 'ev') =>
  Array.from({ length: count }, (_, n) => klaviyoEvent(`${prefix}${n}`, { n }));

describe('a genuine delivery', () => {
  it('is committed when it is answered', async () => {
    const answer = await stage.deliver(hook, events(3));
    expect([answer.status, answer.body]).toEqual([200, { success: true, received: 3, duplicates: 0, quarantined: 0 }]);
    const rows = await stage.rows(hook);
    expect(ids(rows)).toEqual(['ev0', 'ev1', 'ev2']);
    expect(rows[0]).toMatchObject({
      webhook_id: hook.id,
      topic: 'event:api.placed_order',
      metric_id: 'MetrPO',
      profile_id: '01PROFILE000ev0',
      properties: { note: 'Café', n: 0 },
      occurred_at: new Date('2026-09-04T13:38:55Z'),
      late: false,
    });
  });

  it('arrives by the unversioned address, too', async () => {
    const body = stage.body(hook, events(1));
    const answer = await fetch(`${stage.app.url}/api/klaviyo/webhook-receiver`, {
      method: 'POST',
      headers: stage.headers(hook, body),
      body,
    });
    expect(answer.status).toBe(200);
  });

  it.each([0, 1, 1000, 1001])('of %i events has one effect for each', async (count) => {
    const answer = await stage.deliver(hook, events(count));
    expect(answer.body).toEqual({ success: true, received: count, duplicates: 0, quarantined: 0 });
    expect(await stage.rows(hook)).toHaveLength(count);
    await stage.settled(hook);
  });

  it('fifty times at once has one effect', async () => {
    const body = stage.body(hook, events(40));
    const headers = stage.headers(hook, body);
    const answers = await Promise.all(Array.from({ length: 50 }, () => stage.send(body, headers)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    expect(answers.filter(({ body: said }) => said['duplicates'] === 0)).toHaveLength(1);
    expect(answers.filter(({ body: said }) => said['duplicates'] === 40)).toHaveLength(49);
    expect(await stage.rows(hook)).toHaveLength(40);
  });

  it('that overlaps with others brings only what is new, whoever comes first', async () => {
    const all = events(300);
    const batches = Array.from({ length: 10 }, (_, n) => all.slice(n * 25, n * 25 + 75));
    const answers = await Promise.all(batches.map((batch) => stage.deliver(hook, batch)));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    const kept = answers.reduce((sum, { body }) => sum + Number(body['received']) - Number(body['duplicates']), 0);
    expect(kept).toBe(300);
    expect(new Set(ids(await stage.rows(hook))).size).toBe(300);
  });

  it('keeps the order in which its events came', async () => {
    await stage.deliver(hook, events(200));
    expect(ids(await stage.rows(hook))).toEqual(events(200).map(({ external_id }) => external_id));
  });

  it('is of one connection: another user of the same account has the same events for itself', async () => {
    const other = await stage.hook({ account: hook.account });
    await stage.deliver(hook, events(2));
    expect((await stage.deliver(other, events(2))).body).toMatchObject({ received: 2, duplicates: 0 });
    expect(await stage.rows(other)).toHaveLength(2);
  });
});

describe('the time of a delivery', () => {
  const at = (seconds: number) => ({ timestamp: new Date(Date.now() - seconds * 1000).toISOString() });

  it('is the signed one: a header clock that is hours off does not matter', async () => {
    const body = stage.body(hook, events(1));
    for (const hours of [-9, 0, 5, 24 * 365]) {
      const timestamp = new Date(Date.now() + hours * 3_600_000).toUTCString();
      const signed = { ...stage.headers(hook, body), 'klaviyo-timestamp': timestamp };
      const answer = await stage.send(body, { ...signed, 'klaviyo-signature': sign(hook.secret, body, timestamp) });
      expect(answer.status).toBe(200);
    }
  });

  it.each([
    ['299 s old', false, 299],
    ['299 s ahead', false, -299],
    ['302 s old and never seen', true, 302],
    ['47 h old and never seen', true, 47 * 3600],
  ])('%s: taken, late: %s', async (_what, late, seconds) => {
    expect((await stage.deliver(hook, events(1), at(seconds))).status).toBe(200);
    expect((await stage.rows(hook)).map((row) => row['late'])).toEqual([late]);
  });

  it.each([
    ['302 s ahead', -302],
    ['49 h old', 49 * 3600],
  ])('%s: refused, and nothing is kept', async (_what, seconds) => {
    const answer = await stage.deliver(hook, events(1), at(seconds));
    expect([answer.status, answer.body['code']]).toEqual([401, 'WEBHOOK_TIMESTAMP_OUT_OF_RANGE']);
    expect(await stage.rows(hook)).toEqual([]);
  });

  it.each([['none'], ['yesterday'], [17], [null]])('%p is no time: refused', async (timestamp) => {
    const meta = timestamp === 'none' ? { timestamp: undefined } : { timestamp };
    expect((await stage.deliver(hook, events(1), meta)).body['code']).toBe('WEBHOOK_TIMESTAMP_OUT_OF_RANGE');
  });

  it.each([10, 302, 47 * 3600])('%i s old and seen before: taken without effect', async (seconds) => {
    const body = stage.body(hook, events(2), at(seconds));
    const headers = stage.headers(hook, body);
    await stage.send(body, headers);
    await stage.settled(hook);
    const again = await stage.send(body, headers);
    expect([again.status, again.body]).toEqual([200, { success: true, received: 2, duplicates: 2, quarantined: 0 }]);
    expect(await stage.rows(hook)).toHaveLength(2);
  });

  it('is remembered by the delivery, even where its events are gone', async () => {
    const body = stage.body(hook, events(2), at(3600));
    const headers = stage.headers(hook, body);
    await stage.send(body, headers);
    await stage.database.query('DELETE FROM received_event WHERE user_id = $1', [hook.userId]);
    expect((await stage.send(body, headers)).body).toMatchObject({ received: 2, duplicates: 2 });
    expect(await stage.rows(hook)).toEqual([]);
  });
});

describe('what is not genuine', () => {
  /** An answer without what tells two calls apart. */
  const told = ({ status, headers, text }: Awaited<ReturnType<ReceiverStage['send']>>) => ({
    status,
    headers: [...headers].filter(([name]) => name !== 'date' && name !== 'x-request-id'),
    text: text.replace(/"requestId":"[^"]+"/, ''),
  });

  it('is refused alike: unknown webhook, foreign account, foreign secret, wrong signature', async () => {
    const other = await stage.hook();
    const body = stage.body(hook, events(1));
    const headers = stage.headers(hook, body);
    const foreign = stage.body(hook, events(1), { klaviyo_account_id: other.account.id });
    const misnamed = stage.body(hook, events(1), { klaviyo_webhook_id: other.klaviyoId });
    const answers = [
      await stage.send(body, { ...headers, 'klaviyo-webhook-id': '01NOSUCHWEBHOOK00000000000' }),
      await stage.send(foreign, stage.headers(hook, foreign)),
      await stage.send(misnamed, stage.headers(hook, misnamed)),
      await stage.send(body, stage.headers({ ...hook, secret: other.secret }, body)),
      await stage.send(body, { ...headers, 'klaviyo-signature': 'f'.repeat(64) }),
      await stage.send(JSON.stringify(JSON.parse(body)), headers),
    ];
    expect(answers[0]?.status).toBe(401);
    expect(answers[0]?.body['code']).toBe('WEBHOOK_SIGNATURE_INVALID');
    expect(new Set(answers.map((answer) => JSON.stringify(told(answer)))).size).toBe(1);
    expect([...(await stage.rows(hook)), ...(await stage.rows(other))]).toEqual([]);
  });

  it.each([
    ['none', undefined],
    ['an empty one', ''],
    ['one in upper case', (signature: string) => signature.toUpperCase()],
    ['a truncated one', (signature: string) => signature.slice(0, -1)],
    ['one that is not hexadecimal', (signature: string) => `x${signature.slice(1)}`],
  ])('is refused for its signature: %s', async (_what, change) => {
    const body = stage.body(hook, events(1));
    const { 'klaviyo-signature': signature = '', ...headers } = stage.headers(hook, body);
    const changed = typeof change === 'function' ? change(signature) : change;
    const answer = await stage.send(body, {
      ...headers,
      ...(changed === undefined ? {} : { 'klaviyo-signature': changed }),
    });
    expect([answer.status, answer.body['code']]).toEqual([401, 'WEBHOOK_SIGNATURE_INVALID']);
  });

  it.each(['klaviyo-webhook-id', 'klaviyo-signature', 'klaviyo-timestamp'])(
    'is refused where %s is given twice, even the same',
    async (name) => {
      const body = stage.body(hook, events(1));
      const headers = Object.entries(stage.headers(hook, body));
      const twice = [...headers, ...headers.filter(([header]) => header === name)];
      expect((await stage.raw(body, twice)).status).toBe(401);
      expect((await stage.raw(body, headers)).status).toBe(200);
    },
  );

  it('is not read: an unknown webhook is answered before its body arrives', async () => {
    const began = Date.now();
    const headers = stage.headers({ ...hook, klaviyoId: '01UNKNOWNWEBHOOK0000000000' }, '');
    const answer = await new Promise<number>((done, fail) => {
      void import('node:http').then(({ request }) => {
        const call = request(`${stage.app.url}/api/v1/klaviyo/webhook-receiver`, {
          method: 'POST',
          headers: { ...headers, 'content-length': String(20 * 1024 * 1024) },
        });
        call.on('response', (response) => {
          done(response.statusCode ?? 0);
          call.destroy();
        });
        call.on('error', fail);
        call.write('{');
      });
    });
    expect(answer).toBe(401);
    expect(Date.now() - began).toBeLessThan(4000);
  });

  it('is limited to 60 a minute by address and webhook, which never stops a genuine delivery', async () => {
    const body = stage.body(hook, events(1));
    const wrong = { ...stage.headers(hook, body), 'klaviyo-signature': '0'.repeat(64) };
    const statuses: number[] = [];
    for (let n = 0; n < 62; n++) statuses.push((await stage.send(body, wrong)).status);
    expect(statuses).toEqual([...Array(60).fill(401), 429, 429]);
    const limited = await stage.send(body, wrong);
    expect(limited.body['code']).toBe('RATE_LIMITED');
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await stage.deliver(hook, events(1))).status).toBe(200);
    const other = await stage.hook();
    const otherBody = stage.body(other, events(1));
    const otherWrong = { ...stage.headers(other, otherBody), 'klaviyo-signature': '0'.repeat(64) };
    expect((await stage.send(otherBody, otherWrong)).status).toBe(401);
  });

  it('says nothing of the secret, the signature or an event in the log', async () => {
    const body = stage.body(hook, [klaviyoEvent('evlog', { email: 'someone.private@example.com' })]);
    const headers = stage.headers(hook, body);
    await stage.send(body, headers);
    await stage.send(body, { ...headers, 'klaviyo-signature': 'e'.repeat(64) });
    await stage.settled(hook);
    for (const secret of [hook.secret, headers['klaviyo-signature'] ?? '', 'someone.private@example.com'])
      expect(stage.app.logs.text).not.toContain(secret);
  });
});

describe('secrets that change', () => {
  const rotate = async (previousUntil: string) => {
    const secrets = stage.app.app.get(WebhookSecrets, { strict: false });
    const secret = secrets.make();
    await stage.database.query(
      `UPDATE webhook SET sealed_previous_secret = sealed_secret, sealed_secret = $3, secret_version = secret_version + 1,
         previous_until = now() + $4::interval WHERE user_id = $1 AND id = $2`,
      [hook.userId, hook.id, await secrets.seal(hook.userId, hook.id, secret), previousUntil],
    );
    return { ...hook, secret };
  };

  it('are both accepted during the overlap, the new one at once', async () => {
    expect((await stage.deliver(hook, events(1))).status).toBe(200);
    // The opened secrets are remembered: a moment must pass before the database is asked again for a wrong signature.
    await new Promise((done) => setTimeout(done, 1100));
    const renewed = await rotate('1 hour');
    expect((await stage.deliver(renewed, events(1, 'new'))).status).toBe(200);
    expect((await stage.deliver(hook, events(1, 'old'))).status).toBe(200);
  });

  it('end with the overlap', async () => {
    const renewed = await rotate('-1 second');
    expect((await stage.deliver(renewed, events(1, 'new'))).status).toBe(200);
    expect((await stage.deliver(hook, events(1, 'old'))).status).toBe(401);
  });

  it('end with their webhook, although they are remembered', async () => {
    expect((await stage.deliver(hook, events(1))).status).toBe(200);
    await stage.database.query('DELETE FROM webhook WHERE user_id = $1', [hook.userId]);
    expect((await stage.deliver(hook, events(1, 'after'))).body['code']).toBe('WEBHOOK_SIGNATURE_INVALID');
    expect(ids(await stage.rows(hook))).toEqual(['ev0']);
  });
});
