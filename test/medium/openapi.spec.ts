import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { ModulesContainer } from '@nestjs/core';
import { STATUS_OF } from '../../src/common/errors';
import { en } from '../../src/common/messages.en';
import { startApp, type RunningApp } from '../support/app';
import { createDatabase, type TestDatabase } from '../support/database';
import { BuiltService, type ServiceProcess } from '../support/service';

describe('Documentation', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app.stop());

  it('is a page that loads everything from this service, under a policy that allows nothing else', async () => {
    const { text, headers } = await app.http.get('/docs').expect(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['content-security-policy']).toContain("script-src 'self';");
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'/);
    expect(text).not.toMatch(/https?:\/\//);
    const loaded = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(loaded).toHaveLength(3);
    for (const path of loaded) {
      const asset = await app.http.get(path).expect(200);
      expect(asset.headers['content-type']).toMatch(path.endsWith('.css') ? /^text\/css/ : /^text\/javascript/);
    }
  });

  it.each(['/docs/assets/package.json', '/docs/assets/..%2fpackage.json', '/docs/assets/constructor'])(
    'serves no other file: %s',
    async (path) => {
      const { body } = await app.http.get(path).expect(404);
      expect(body.code).toBe('ROUTE_NOT_FOUND');
    },
  );

  it('explains every code in French and English at the anchor that problem documents name', async () => {
    const { text, headers } = await app.http.get('/docs/errors').expect(200);
    expect(headers['content-security-policy']).toMatch(/style-src 'sha256-/);
    for (const code of Object.keys(STATUS_OF)) expect(text).toContain(`<section id="${code}">`);
    expect(text).toContain(en.codes.ROUTE_NOT_FOUND.title);
    expect(text.match(/<p lang="fr">/g)).toHaveLength(Object.keys(STATUS_OF).length);
    expect(text.match(/<p lang="en">/g)).toHaveLength(Object.keys(STATUS_OF).length);
  });

  it('keeps its policy to its own pages', async () => {
    const { headers } = await app.http.get('/health/live').expect(200);
    expect(headers['content-security-policy']).not.toContain('self');
  });

  it('gives the document as JSON, twice the same', async () => {
    const first = await app.http.get('/openapi.json').expect(200);
    const second = await app.http.get('/openapi.json').expect(200);
    expect(first.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(first.body.openapi).toMatch(/^3\.1\./);
    expect(second.text).toBe(first.text);
  });
});

describe('Documentation that is switched off', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ env: { DOCS_ENABLED: 'false' } });
  });
  afterAll(() => app.stop());

  it.each(['/docs', '/openapi.json', '/docs/errors', '/docs/assets/swagger-ui.css'])('is unknown: %s', async (path) => {
    const { body } = await app.http.get(path).expect(404);
    const unknown = await app.http.get('/nowhere').set(app.asService).expect(404);
    expect({ ...body, instance: '', requestId: '' }).toEqual({ ...unknown.body, instance: '', requestId: '' });
  });
});

interface Operation {
  operationId: string;
  summary?: string;
  security: unknown[];
  parameters: { name: string; in: string; schema?: object }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: Schema }> }>;
}
interface Schema {
  $ref?: string;
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
}
interface Described {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, object> };
}

const VERSIONED = '/api/v1/klaviyo/';

/** Every route of the API as its controllers declare it: `GET /api/v1/klaviyo/lists/{id}`. */
function declaredRoutes(app: RunningApp): string[] {
  const routes: string[] = [];
  for (const module of app.app.get(ModulesContainer).values())
    for (const { metatype } of module.controllers.values()) {
      if (typeof metatype !== 'function') continue;
      const bases = [Reflect.getMetadata(PATH_METADATA, metatype)].flat() as string[];
      for (const { value } of Object.values(Object.getOwnPropertyDescriptors(metatype.prototype as object))) {
        if (typeof value !== 'function') continue;
        const method = Reflect.getMetadata(METHOD_METADATA, value as object) as RequestMethod | undefined;
        if (method === undefined) continue;
        for (const path of [Reflect.getMetadata(PATH_METADATA, value as object)].flat() as string[])
          for (const base of bases)
            routes.push(`${RequestMethod[method]} /${base}/${path}`.replace(/\/+/g, '/').replace(/:(\w+)/g, '{$1}'));
      }
    }
  return routes.map((route) => route.replace(/\/$/, '')).filter((route) => route.includes(` ${VERSIONED}`));
}

describe('The built service', () => {
  const folder = mkdtempSync(join(tmpdir(), 'klaviyo-built-'));
  let database: TestDatabase;
  const service = new BuiltService('openapi');
  let built: ServiceProcess;
  let document: Described;
  let operations: [string, Operation][];

  beforeAll(async () => {
    database = await createDatabase();
    built = await service.launch(database.url, { LOG_LEVEL: 'trace', LOG_FILE: join(folder, 'service.log') });
    document = (await (await fetch(`${built.url}/openapi.json`)).json()) as Described;
    operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]): [string, Operation] => [
        `${method.toUpperCase()} ${path}`,
        operation,
      ]),
    );
  }, 120_000);

  afterAll(async () => {
    await service.stop();
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Names of the properties of a schema, through references and compositions. */
  function propertiesOf(schema: Schema | undefined): string[] {
    if (!schema) return [];
    if (schema.$ref) return propertiesOf(document.components.schemas[schema.$ref.split('/').at(-1) ?? '']);
    return [...(schema.allOf ?? []).flatMap(propertiesOf), ...Object.keys(schema.properties ?? {})];
  }

  it('describes every route of the API, each once, and nothing else', async () => {
    const app = await startApp();
    try {
      expect(operations.map(([name]) => name).sort()).toEqual(declaredRoutes(app).sort());
      expect(operations.length).toBeGreaterThan(2);
    } finally {
      await app.stop();
    }
  });

  it('gives a summary and an id of its own to every operation', () => {
    expect(operations.filter(([, operation]) => !operation.summary?.trim()).map(([name]) => name)).toEqual([]);
    const ids = operations.map(([, operation]) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('says what every request holds', () => {
    const bodies = operations.filter(([, operation]) => operation.requestBody);
    expect(bodies.length).toBeGreaterThan(0);
    const empty = bodies.filter(
      ([, operation]) => propertiesOf(operation.requestBody?.content['application/json']?.schema).length === 0,
    );
    expect(empty.map(([name]) => name)).toEqual([]);
  });

  it('says what every answer holds, beside its success', () => {
    const empty = operations.filter(([, { responses }]) => {
      const good = Object.entries(responses).filter(([status]) => status.startsWith('2'));
      // A stream of events holds what the answer beside it does, line by line.
      if (good.length > 0 && good.every(([, { content }]) => content?.['text/event-stream'])) return false;
      const told = good.map(([, response]) => propertiesOf(response.content?.['application/json']?.schema));
      return told.length === 0 || told.some((names) => !names.includes('success') || names.length < 2);
    });
    expect(empty.map(([name]) => name)).toEqual([]);
  });

  it('says of every operation how it fails, who may call it, and that a POST may carry an Idempotency-Key', () => {
    for (const [name, operation] of operations) {
      expect(operation.responses['500']).toEqual({ $ref: '#/components/responses/Problem500' });
      expect(operation.responses['400']).toEqual({ $ref: '#/components/responses/Problem400' });
      if (operation.security.length === 0) continue;
      expect(operation.security).toEqual([{ bearer: [] }]);
      const keyed = operation.parameters.some((parameter) => parameter.name === 'Idempotency-Key');
      expect([name, keyed]).toEqual([name, name.startsWith('POST ')]);
    }
  });

  it('makes no reference that leads nowhere', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/([^"]+)"/g)];
    const dead = references.filter(
      ([, kind, name]) => !Object.hasOwn(document.components[kind as 'schemas' | 'responses'], name ?? ''),
    );
    expect(references.length).toBeGreaterThan(0);
    expect(dead.map(([text]) => text)).toEqual([]);
  });

  it('logs nothing but JSON lines to stdout, and the same lines to LOG_FILE', async () => {
    await fetch(`${built.url}/api/v1/klaviyo/nowhere`, { headers: { 'X-Request-Id': 'built-request-1' } });
    const file = () => readFileSync(join(folder, 'service.1.log'), 'utf8');
    const until = Date.now() + 10_000;
    const stdout = () => built.stdout;
    const isTold = (text: string) => text.includes('built-request-1') && text.endsWith('\n');
    while (!(isTold(file()) && isTold(stdout())) && Date.now() < until) await wait(50);
    const lines = stdout()
      .split('\n')
      .filter((line) => line !== '');
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ service: 'klaviyo', level: expect.any(String) });
    const told = lines.filter((line) => line.includes('built-request-1'));
    expect(told).toHaveLength(1);
    expect(file().split('\n')).toContain(told[0]);
  });
});
