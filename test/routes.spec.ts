import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { routeTemplate } from '../src/common/controller';
import { startApp, type RunningApp } from './support/app';

/** Every route that answers without a caller. A route that is not here is closed, or this test fails. */
const OPEN = [
  'GET /docs',
  'GET /docs/assets/:name',
  'GET /docs/errors',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /openapi.json',
];

/** Every route of the API that says so of itself; it looks for something else than a caller, here for a signature. */
const RULED_OPEN = ['POST /api/klaviyo/webhook-receiver', 'POST /api/v1/klaviyo/webhook-receiver'];

const routes: { method: string; url: string; open: boolean }[] = [];

/** Listens to Fastify itself, so that a route is seen whoever registers it. */
async function watch(app: NestFastifyApplication): Promise<void> {
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', ({ method, url, config }) => {
    const open = config !== undefined && 'open' in config && config.open === true;
    for (const one of [method].flat()) routes.push({ method: one, url, open });
  });
  // Fastify takes a hook only once what was registered before is loaded.
  await fastify.after();
}

describe('every route', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ prepare: watch });
  });
  afterAll(async () => {
    await app.stop();
  });

  const ask = (method: string, url: string, headers: Record<string, string> = {}) =>
    fetch(`${app.url}${url.replace(/:\w+/g, 'x').replace('*', 'x')}`, { method, headers }).then(async (answer) => {
      await answer.arrayBuffer();
      return answer.status;
    });

  it('is closed without a token, but for those listed here', async () => {
    const open: string[] = [];
    for (const { method, url } of routes)
      if ((await ask(method, url)) !== 401 && method !== 'HEAD') open.push(`${method} ${url}`);
    expect(open.sort()).toEqual(OPEN);
  });

  it('of the API that asks for no caller is listed here', () => {
    const open = routes.filter((route) => route.open && route.url.startsWith('/api/'));
    expect(open.map(({ method, url }) => `${method} ${url}`).sort()).toEqual(RULED_OPEN);
  });

  it('answers HEAD as openly as GET, and no more', async () => {
    const open: string[] = [];
    for (const { method, url } of routes)
      if (method === 'HEAD' && (await ask('HEAD', url)) !== 401) open.push(`GET ${url}`);
    expect(open.sort()).toEqual(OPEN);
  });

  it('is closed to wrong tokens, too', async () => {
    const statuses = new Set<number>();
    for (const { method, url } of routes.filter(({ url: path }) => path.startsWith('/api/')))
      statuses.add(await ask(method, url, { authorization: 'Bearer wrong' }));
    for (const status of statuses) expect([401, 429]).toContain(status);
  });

  it('of the API stands under both addresses', () => {
    const api = routes.filter(({ url }) => url.startsWith('/api/'));
    expect(api.length).toBeGreaterThan(0);
    const templates = new Map<string, number>();
    for (const { method, url } of api) {
      const template = `${method} ${routeTemplate(url)}`;
      templates.set(template, (templates.get(template) ?? 0) + 1);
    }
    expect([...templates].filter(([, count]) => count !== 2)).toEqual([]);
  });

  it('that does not exist is closed as well', async () => {
    for (const path of [
      '/',
      '/api',
      '/api/v1/klaviyo',
      '/api/v2/klaviyo/connect',
      '/health',
      '/health/live/x',
      '/.env',
    ])
      for (const method of ['GET', 'POST', 'OPTIONS', 'DELETE']) expect(await ask(method, path)).toBe(401);
  });
});
