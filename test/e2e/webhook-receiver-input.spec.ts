import { request as httpRequest } from 'node:http';
import { gzipSync } from 'node:zlib';
import { klaviyoEvent, RECEIVER, ReceiverStage, type Hook } from './webhook-receiver-stage';

const MEGABYTE = 1024 * 1024;

let stage: ReceiverStage;
let hook: Hook;

beforeAll(async () => {
  stage = await ReceiverStage.open();
  hook = await stage.hook();
}, 60_000);
afterAll(async () => {
  await stage.stop();
});

/** A genuine delivery of these bytes, whatever they are. */
const signed = (body: Buffer | string, over: Record<string, string> = {}) =>
  stage.send(body, stage.headers(hook, body, over));

/** A body whose length is not told beforehand. */
const chunked = async (body: Buffer, headers: Record<string, string>) =>
  new Promise<number>((done, fail) => {
    const call = httpRequest(`${stage.app.url}${RECEIVER}`, { method: 'POST', headers });
    call.on('response', (answer) => {
      answer.resume();
      done(answer.statusCode ?? 0);
    });
    // The line may be closed while we still send; what was answered comes first.
    call.on('error', () => setTimeout(fail, 1000, new Error('closed without an answer')));
    for (let at = 0; at < body.length; at += MEGABYTE) call.write(body.subarray(at, at + MEGABYTE));
    call.end();
  });

/** Still takes what is genuine, and holds no more memory than before. */
const isWell = async () => {
  expect((await stage.deliver(hook, [klaviyoEvent('well')])).status).toBe(200);
};

describe('a signed body', () => {
  it.each([
    ['that is not JSON', 'hello', 'MALFORMED_JSON'],
    ['that is cut off', '{"data": [', 'MALFORMED_JSON'],
    ['that is empty', '', 'MALFORMED_JSON'],
    ['with a byte order mark', '\ufeff{}', 'MALFORMED_JSON'],
    ['a hundred thousand levels deep', `{"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'MALFORMED_JSON'],
    ['of a million arrays', `{"data":[${'[],'.repeat(1_000_001)}[]]}`, 'MALFORMED_JSON'],
    ['that is no delivery', '[]', 'VALIDATION_FAILED'],
    ['whose data is no array', '{"data":{}}', 'VALIDATION_FAILED'],
    ['that is only a word', 'null', 'VALIDATION_FAILED'],
  ])('%s is refused', async (_what, body, code) => {
    const answer = await signed(body);
    expect([answer.status, answer.body['code']]).toEqual([400, code]);
    await isWell();
  });

  it('of more than 10,000 events is 413', async () => {
    const answer = await stage.deliver(hook, Array<number>(10_001).fill(1));
    expect([answer.status, answer.body['code']]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  });

  it('with a field twice counts as it was given last', async () => {
    const body = stage.body(hook, [klaviyoEvent('twice')]).replace('{"data":', '{"data": "no", "data":');
    expect((await signed(body)).status).toBe(200);
  });

  it('that was written anew is not what was signed', async () => {
    const body = stage.body(hook, [klaviyoEvent('again')]);
    const headers = stage.headers(hook, body);
    expect((await stage.send(JSON.stringify(JSON.parse(body)), headers)).status).toBe(401);
    expect((await stage.send(`${body} `, headers)).status).toBe(401);
    expect((await stage.send(body, headers)).status).toBe(200);
  });

  it('that is no UTF-8 is taken, what cannot be read replaced', async () => {
    const text = stage.body(hook, [klaviyoEvent('latin', { odd: '%%' })]);
    const at = text.indexOf('%%');
    const body = Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from([0xff]), Buffer.from(text.slice(at + 2))]);
    expect((await signed(body)).status).toBe(200);
  });

  it('may be compressed: the signature is over what was compressed', async () => {
    const body = stage.body(hook, [klaviyoEvent('zip')]);
    const headers = { ...stage.headers(hook, body), 'content-encoding': 'gzip' };
    expect((await stage.send(gzipSync(body), headers)).status).toBe(200);
  });
});

describe('a body that is too much', () => {
  it('is 413 by what its head promises, before any of it is read', async () => {
    const status = await new Promise<number>((done, fail) => {
      const call = httpRequest(`${stage.app.url}${RECEIVER}`, {
        method: 'POST',
        headers: { ...stage.headers(hook, ''), 'content-length': String(25 * MEGABYTE + 1) },
      });
      call.on('response', (answer) => {
        done(answer.statusCode ?? 0);
        call.destroy();
      });
      call.on('error', fail);
      call.flushHeaders();
    });
    expect(status).toBe(413);
  });

  it('is 413 when it turns out to be, and of exactly 25 MB it is read', async () => {
    const text = stage.body(hook, [klaviyoEvent('large')]);
    const fill = (bytes: number) =>
      Buffer.concat([Buffer.from(text), Buffer.alloc(bytes - Buffer.byteLength(text), ' ')]);
    expect((await signed(fill(25 * MEGABYTE))).status).toBe(200);
    const over = fill(25 * MEGABYTE + 1);
    expect(await chunked(over, stage.headers(hook, over))).toBe(413);
    // That it is too large is said to nobody whose signature does not hold.
    expect(await chunked(over, stage.headers(hook, ''))).toBe(401);
    await isWell();
  });

  it('is a bomb: it is put away long before it has unfolded', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * MEGABYTE, ' '));
    const before = process.memoryUsage().rss;
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => stage.send(bomb, { ...stage.headers(hook, bomb), 'content-encoding': 'gzip' })),
    );
    for (const { status } of answers) expect([401, 429]).toContain(status);
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * MEGABYTE);
    await isWell();
  });
});

describe('a body that', () => {
  it('drips is not waited for longer than Klaviyo itself would wait', async () => {
    const body = stage.body(hook, [klaviyoEvent('slow')]);
    const began = Date.now();
    const status = await new Promise<number>((done, fail) => {
      const call = httpRequest(`${stage.app.url}${RECEIVER}`, {
        method: 'POST',
        headers: { ...stage.headers(hook, body), 'content-length': String(Buffer.byteLength(body)) },
      });
      call.on('response', (answer) => {
        done(answer.statusCode ?? 0);
        call.destroy();
      });
      call.on('error', fail);
      call.write(body.slice(0, 10));
    });
    expect(status).toBe(401);
    expect(Date.now() - began).toBeGreaterThan(4000);
    expect(Date.now() - began).toBeLessThan(15_000);
    await isWell();
  });

  it('breaks off leaves nothing behind', async () => {
    const body = stage.body(hook, [klaviyoEvent('cut')]);
    await new Promise<void>((done) => {
      const call = httpRequest(`${stage.app.url}${RECEIVER}`, {
        method: 'POST',
        headers: { ...stage.headers(hook, body), 'content-length': String(Buffer.byteLength(body)) },
      });
      call.on('error', () => done());
      call.on('close', () => done());
      call.write(body.slice(0, 100), () => call.destroy());
    });
    await isWell();
    expect((await stage.rows(hook)).some((row) => row['external_id'] === 'cut')).toBe(false);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16', 'text/json'])(
    'says to be %s is 415',
    async (type) => {
      const body = stage.body(hook, [klaviyoEvent('type')]);
      expect((await stage.send(body, { ...stage.headers(hook, body), 'content-type': type })).status).toBe(415);
    },
  );

  it('is not there is 401', async () => {
    const headers = Object.entries(stage.headers(hook, '')).filter(([name]) => name !== 'content-type');
    expect((await stage.raw(undefined, headers)).status).toBe(401);
  });
});

describe('a body that nobody signed', () => {
  it.each([
    ['does not decompress', { 'content-encoding': 'gzip' }, 401],
    ['has an encoding that nobody knows', { 'content-encoding': 'rot13' }, 415],
    ['promises too much', { 'content-length': String(25 * MEGABYTE + 1) }, 413],
  ])('and that %s is answered alike, whether the webhook is known or not', async (_what, head, status) => {
    const answers = await Promise.all(
      [hook.klaviyoId, '01NOSUCHWEBHOOK00000000000'].map(
        async (klaviyoId) =>
          new Promise((done, fail) => {
            const headers = { ...stage.headers({ ...hook, klaviyoId }, 'x'), ...head };
            const call = httpRequest(`${stage.app.url}${RECEIVER}`, { method: 'POST', headers });
            call.on('response', (answer) => {
              const told = Object.entries(answer.headers).filter(
                ([name]) => name !== 'date' && name !== 'x-request-id',
              );
              let text = '';
              answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
              answer.on('end', () => {
                done([answer.statusCode, told, text.replace(/"requestId":"[^"]+"/, '')]);
                call.destroy();
              });
            });
            call.on('error', fail);
            if ('content-length' in head) call.write('{"data": [');
            else call.end('{"data": [');
          }),
      ),
    );
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toEqual([status, expect.anything(), expect.anything()]);
  });
});

describe('the address', () => {
  it('takes a delivery from whatever origin', async () => {
    const body = stage.body(hook, [klaviyoEvent('origin')]);
    const answer = await stage.send(body, { ...stage.headers(hook, body), origin: 'https://evil.example' });
    expect(answer.status).toBe(200);
  });

  it('answers nothing else', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH'])
      expect((await fetch(`${stage.app.url}${RECEIVER}`, { method })).status).toBe(401);
  });
});
