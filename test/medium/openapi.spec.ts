import { STATUS_OF } from '../../src/common/errors';
import { en } from '../../src/common/messages.en';
import { startApp, type RunningApp } from '../support/app';

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
  it.each(['/docs', '/openapi.json', '/docs/errors', '/docs/assets/swagger-ui.css'])('is unknown: %s', async (path) => {
    const app = await startApp({ env: { DOCS_ENABLED: 'false' } });
    try {
      const { body } = await app.http.get(path).expect(404);
      const unknown = await app.http.get('/nowhere').set(app.asService).expect(404);
      expect({ ...body, instance: '', requestId: '' }).toEqual({ ...unknown.body, instance: '', requestId: '' });
    } finally {
      await app.stop();
    }
  });
});
