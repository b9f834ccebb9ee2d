import { setTimeout as wait } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app';
import { createDatabase, type TestDatabase } from '../support/database';
import { DatabaseLine } from '../support/database-line';
import { done, TryModule } from '../support/try';

describe('without its database', () => {
  let database: TestDatabase;
  let line: DatabaseLine;
  let app: RunningApp;
  beforeAll(async () => {
    database = await createDatabase();
    line = new DatabaseLine(new URL(database.url));
    await line.mend();
    app = await startApp({ imports: [TryModule], database: { ...database, url: line.url } });
  });
  afterAll(async () => {
    await app.stop();
    await line.cut();
    await database.drop();
  });

  const work = (key: string) =>
    app.http
      .post('/api/v1/klaviyo/try/work')
      .set(app.asService)
      .set('Idempotency-Key', key)
      .send({ userId: 1, name: key });

  it('the service says 503 with the time to try again, does nothing, and is itself again when it is back', async () => {
    await work('before').expect(201);
    await line.cut();
    for (const [language, title] of [
      ['fr', 'Service indisponible'],
      ['en', 'Service unavailable'],
    ] as const) {
      const { body, headers } = await work('during').set('Accept-Language', language).expect(503);
      expect(headers['retry-after']).toBe('5');
      expect(body).toMatchObject({ code: 'SERVICE_UNAVAILABLE', title, retryAfter: 5 });
      expect(body.detail).toContain('5');
    }
    expect(done).toEqual(['before']);
    await app.http.get('/health/ready').expect(503);
    await app.http.get('/health/live').expect(200);

    await line.mend();
    const deadline = Date.now() + 10_000;
    let status = 0;
    while (status !== 201 && Date.now() < deadline) {
      ({ status } = await work('during'));
      if (status !== 201) await wait(100);
    }
    expect(status).toBe(201);
    expect((await work('before').expect(201)).headers['idempotency-replayed']).toBe('true');
    expect(done).toEqual(['before', 'during']);
    expect(app.logs.text).not.toContain(new URL(database.url).password || 'no password');
  });
});
