import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startApp, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox } from '../support/sandbox';

/** The shell blocks of a document that call the service. */
function blocksOf(file: string): string[] {
  const text = readFileSync(join(process.cwd(), file), 'utf8');
  return [...text.matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1]!).filter((block) => block.includes('$BASE'));
}

/** As much of curl as the documents use, so that the test needs no program beyond sh and Node. */
const CURL = `
const args = process.argv.slice(1);
const headers = {};
let url, body, method;
for (let i = 0; i < args.length; i++) {
  const arg = args[i];
  if (arg === '-H') { const [name, ...rest] = args[++i].split(':'); headers[name] = rest.join(':').trim(); }
  else if (arg === '-d') body = args[++i];
  else if (arg === '-X') method = args[++i];
  else if (!arg.startsWith('-')) url = arg;
}
fetch(url, { method: method ?? (body === undefined ? 'GET' : 'POST'), headers, body }).then(async (response) => {
  const text = await response.text();
  const isStream = (response.headers.get('content-type') ?? '').startsWith('text/event-stream');
  if (response.ok && (isStream ? text.includes('event: end') : text.startsWith('{"success":true'))) process.stdout.write(text + '\\n');
  else { process.stderr.write('FAILED ' + url + ': ' + text + '\\n'); process.exitCode = 1; }
});
`;

function run(script: string, env: Record<string, string>): Promise<{ code: number | null; out: string; err: string }> {
  const prelude = 'set -eu\ncurl() { "$NODE" -e "$CURL" -- "$@"; }\n';
  return new Promise((done) => {
    const child = spawn('sh', ['-c', prelude + script], {
      env: { PATH: process.env['PATH'] ?? '', NODE: process.execPath, CURL, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('close', (code) => done({ code, out, err }));
  });
}

describe('the examples of the documents', () => {
  let sandbox: Sandbox;
  let app: RunningApp;

  beforeAll(async () => {
    sandbox = await startSandbox();
    app = await startApp({ klaviyoUrl: sandbox.url });
  });

  afterAll(async () => {
    await app.stop();
    await sandbox.stop();
  });

  async function stage() {
    const account = await sandbox.createAccount({ limits: 'huge', lists: 3, segments: 2, campaigns: 8, profiles: 20 });
    const env = { KEY: app.serviceKey, DEMO_KEY: account.key };
    const base = `BASE=${app.url}/api/v1/klaviyo\nAUTH="Authorization: Bearer $KEY"\nJSON='Content-Type: application/json'\n`;
    return { env, base };
  }

  it('README: the whole story plays as it is written', async () => {
    const { env, base } = await stage();
    const [story] = blocksOf('README.md');
    const played = await run(story!.replace(/^BASE=.*$/m, base.split('\n')[0]!), env);
    expect(played.err).toBe('');
    expect(played.code).toBe(0);
    expect(played.out.match(/"success":true/g)).toHaveLength(story!.match(/^(LIST=\$\()?curl /gm)!.length - 1);
  });

  it('guide.fr.md: every example plays as it is written', async () => {
    const { env, base } = await stage();
    const connected =
      'curl -s $BASE/connect -H "$AUTH" -H "$JSON" -d \'{"userId":123,"privateApiKey":"\'$DEMO_KEY\'"}\'\n';
    const list = `LIST=$(curl -s "$BASE/get-lists?userId=123&limit=1" -H "$AUTH" | grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)\n`;
    const blocks = blocksOf('docs/guide.fr.md').filter((block) => block.includes('curl'));
    expect(blocks.length).toBeGreaterThan(6);
    const contact = `curl -s $BASE/subscribe -H "$AUTH" -H "$JSON" -d '{"userId":123,"profile":{"email":"contact@example.com"}}'\n`;
    for (const block of blocks) {
      const played = await run(base + connected + list + contact + block, env);
      expect(played.err).toBe('');
      expect(played.code).toBe(0);
    }
  }, 120_000);
});
