// `npm run demo`: the README's whole story against the service that `npm start` runs, each request and answer printed.
import './node-version.ts';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readRunning, stateDir } from './state.ts';

const USER_ID = 123;
const CONTACT = 'ada.lovelace@example.com';

interface Step {
  title: string;
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  body?: Record<string, unknown>;
  /** The status that tells that the step worked. */
  expect: readonly number[];
}

type Answer = Record<string, unknown>;

interface Service {
  url: string;
  serviceKey: string;
  privateKey: string;
}

function running(): Service {
  const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const found = readRunning(stateDir(project));
  if (!found?.ready) throw new Error('The service is not running here. Start it first, in another terminal: npm start');
  if (found.serviceKey === null) throw new Error('The running service has no service key: set SERVICE_API_KEYS');
  if (!found.sandbox) throw new Error('The service runs without the sandbox, so there is no demo account to play with');
  return { url: found.url, serviceKey: found.serviceKey, privateKey: found.sandbox.privateKey };
}

/** Long arrays are cut, so that an answer can be read at a glance. */
function shortened(value: unknown): unknown {
  if (Array.isArray(value)) {
    const head = value.slice(0, 2).map(shortened);
    return value.length > 2 ? [...head, `… and ${value.length - 2} more`] : head;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shortened(item)]));
}

function printable(body: Record<string, unknown>): string {
  const { privateApiKey, ...rest } = body;
  return JSON.stringify(privateApiKey === undefined ? rest : { privateApiKey: 'pk_demo_…', ...rest }, null, 2);
}

async function play(service: Service, step: Step): Promise<Answer> {
  console.log(`\n── ${step.title}\n${step.method} ${step.path}`);
  if (step.body) console.log(printable(step.body));
  const response = await fetch(`${service.url}/api/v1/klaviyo${step.path}`, {
    method: step.method,
    headers: {
      authorization: `Bearer ${service.serviceKey}`,
      'accept-language': 'en',
      ...(step.body ? { 'content-type': 'application/json' } : {}),
    },
    ...(step.body ? { body: JSON.stringify(step.body) } : {}),
    signal: AbortSignal.timeout(30_000),
  });
  const answer = (await response.json()) as Answer;
  console.log(`→ ${response.status} ${JSON.stringify(shortened(answer), null, 2)}`);
  if (!step.expect.includes(response.status)) throw new Error(`${step.title}: expected ${step.expect.join(' or ')}`);
  return answer;
}

function firstId(answer: Answer, name: string): string {
  const [first] = (answer[name] ?? []) as { id: string }[];
  if (!first) throw new Error(`The demo account has no ${name}`);
  return first.id;
}

async function main(): Promise<void> {
  const service = running();
  const go = (step: Step) => play(service, step);
  const user = `userId=${USER_ID}`;

  await go({
    title: 'Connect a Klaviyo account',
    method: 'POST',
    path: '/connect',
    body: { userId: USER_ID, privateApiKey: service.privateKey, label: 'Demo shop' },
    expect: [200, 201],
  });
  await go({ title: 'Is it connected?', method: 'GET', path: `/connect?${user}`, expect: [200] });
  const lists = await go({ title: 'Read the lists', method: 'GET', path: `/get-lists?${user}`, expect: [200] });
  await go({
    title: 'Put a contact on a list',
    method: 'POST',
    path: '/subscribe',
    body: {
      userId: USER_ID,
      profile: {
        email: CONTACT,
        firstName: 'Ada',
        lastName: 'Lovelace',
        customAttributes: { company: 'Analytical Engines', role: 'Founder' },
        tags: ['prospect', 'qualifié'],
      },
      listId: firstId(lists, 'lists'),
      consent: { email: true, source: 'Demo' },
    },
    expect: [200, 201],
  });
  await go({ title: 'Find the contact', method: 'GET', path: `/subscribe?${user}&email=${CONTACT}`, expect: [200] });
  await go({
    title: 'Update the contact',
    method: 'PATCH',
    path: '/update-contact',
    body: { userId: USER_ID, email: CONTACT, profile: { title: 'CEO' }, addTags: ['vip'], removeTags: ['prospect'] },
    expect: [200],
  });
  await go({
    title: 'What can be updated, and what was',
    method: 'GET',
    path: `/update-contact?${user}&email=${CONTACT}`,
    expect: [200],
  });
  await go({
    title: 'Send an event that triggers automations',
    method: 'POST',
    path: '/trigger-event',
    body: {
      userId: USER_ID,
      event: {
        eventType: 'Placed Order',
        eventData: {
          orderId: 'ORD-12345',
          total: 99.99,
          currency: 'EUR',
          items: [
            { name: 'Produit A', price: 49.99, quantity: 1 },
            { name: 'Produit B', price: 50.0, quantity: 1 },
          ],
        },
        profile: { email: CONTACT },
      },
    },
    expect: [202],
  });
  await go({ title: 'Which events are predefined?', method: 'GET', path: '/trigger-event', expect: [200] });
  await go({
    title: 'Read the segments with their member counts',
    method: 'GET',
    path: `/get-segments?${user}&includeStats=true`,
    expect: [200],
  });
  await go({
    title: 'Read the sent campaigns with their figures',
    method: 'GET',
    path: `/get-campaigns?${user}&status=sent&includeStats=true`,
    expect: [200],
  });
  await go({ title: 'Disconnect', method: 'DELETE', path: `/connect?${user}`, expect: [200] });
  console.log('\nThe whole story played.');
}

main().catch((error: unknown) => {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
