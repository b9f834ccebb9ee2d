import type { ServerResponse } from 'node:http';
import type { Account, AccountOptions, Key } from './account.ts';
import type { Incoming } from './api.ts';
import type { ClockChange } from './clock.ts';
import type { DeliveryRequest } from './deliveries.ts';
import { changeState } from './control-state.ts';
import { digests } from './digest.ts';
import type { FaultRequest } from './faults.ts';
import { planFault } from './faults.ts';
import { isObject } from './json.ts';
import { decodePairs } from './query.ts';
import { presetFault } from './presets.ts';
import type { LimitsMode } from './quota.ts';
import type { RevisionRules } from './revisions.ts';
import { oldestLive } from './revisions.ts';
import type { Sandbox } from './sandbox.ts';
import { signatureOf } from './signature.ts';
import type { WebhookRow } from './store/rows.ts';
import type { Switches } from './switches.ts';

/** What an account's creation and change may hold beside its rows. */
interface AccountSwitches {
  keys?: Partial<Key>[];
  plan?: { advancedKdp?: boolean };
  limits?: LimitsMode;
  latencyMs?: number;
  jitterMs?: number;
  asyncDelayMs?: number;
  windowPhaseMs?: number;
  otherIntegration?: { share: number };
  deliverTo?: string | null;
  revisions?: Partial<RevisionRules>;
  switches?: Partial<Switches>;
  organizationName?: string;
  currency?: string;
  timezone?: string;
}

export class ControlError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface ControlCall {
  sandbox: Sandbox;
  method: string;
  /** Path after /_sandbox, in parts. */
  parts: string[];
  query: Map<string, string>;
  body: unknown;
}

/** The control address: no authentication, no quota, no log. Faults of its caller are plain sentences. */
export async function control(sandbox: Sandbox, incoming: Incoming, response: ServerResponse): Promise<void> {
  let status = 200;
  let answer: unknown;
  try {
    const call: ControlCall = {
      sandbox,
      method: incoming.method,
      parts: incoming.path.split('/').slice(2).map(decodeURIComponent),
      query: new Map(decodePairs(incoming.search)),
      body: incoming.body.length === 0 ? {} : JSON.parse(incoming.body.toString('utf8')),
    };
    answer = await dispatch(call);
    if (incoming.method === 'POST') status = 201;
  } catch (error) {
    status = error instanceof ControlError ? error.status : 400;
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  const text = JSON.stringify(answer ?? {});
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function dispatch(call: ControlCall): Promise<unknown> {
  const { sandbox, method, parts } = call;
  const [head, id] = parts;
  switch (head) {
    case 'health':
      return { ok: true, accounts: sandbox.list().length, clock: sandbox.clock.state() };
    case 'clock':
      if (method !== 'GET') {
        sandbox.clock.change(call.body as ClockChange);
        sandbox.settle();
      }
      return { ...sandbox.clock.state(), oldestLiveRevision: oldestLive(sandbox.clock.now()) };
    case 'sign': {
      const { secret, body, timestamp } = call.body as { secret: string; body: string; timestamp: string };
      return { signature: signatureOf(secret, Buffer.from(body, 'utf8'), timestamp) };
    }
    case 'reset':
      sandbox.reset();
      return { ok: true };
    case 'requests':
      if (method === 'DELETE') sandbox.strangers.clear();
      return { requests: sandbox.strangers.list(undefined, 0), totals: sandbox.strangers.summary() };
    case 'accounts':
      break;
    default:
      throw new ControlError(404, `/_sandbox/${parts.join('/')}: no such control`);
  }
  if (id === undefined) {
    if (method === 'GET') return { accounts: sandbox.list().map((account) => state(sandbox, account)) };
    return createAccount(call);
  }
  const account = sandbox.get(id);
  if (account === undefined) throw new ControlError(404, `no account ${id}`);
  account.settle(sandbox.clock.now());
  return accountControl(call, account);
}

function createAccount({ sandbox, body }: ControlCall): unknown {
  const options = body as AccountOptions & AccountSwitches;
  const account = sandbox.create(options);
  applySwitches(sandbox, account, { ...options, keys: [] });
  return { id: account.id, publicKey: account.id, keys: account.keys.map(({ key }) => key) };
}

/** Changes an account's behaviour; keys are added, or changed where they exist (revoked: `invalid: true`). */
function applySwitches(sandbox: Sandbox, account: Account, change: AccountSwitches): void {
  for (const key of change.keys ?? []) sandbox.addKey(account, key);
  if (change.limits !== undefined) account.quota.mode = change.limits;
  if (change.windowPhaseMs !== undefined) account.quota.phaseMs = change.windowPhaseMs;
  if (change.otherIntegration !== undefined) account.quota.foreignShare = change.otherIntegration.share;
  if (change.plan?.advancedKdp !== undefined) account.advancedKdp = change.plan.advancedKdp;
  account.latencyMs = change.latencyMs ?? account.latencyMs;
  account.jitterMs = change.jitterMs ?? account.jitterMs;
  account.asyncDelayMs = change.asyncDelayMs ?? account.asyncDelayMs;
  account.organizationName = change.organizationName ?? account.organizationName;
  if (change.deliverTo !== undefined) account.deliverTo = change.deliverTo;
  account.currency = change.currency ?? account.currency;
  account.timezone = change.timezone ?? account.timezone;
  account.revisions = { ...account.revisions, ...change.revisions };
  account.switches = { ...account.switches, ...change.switches };
  account.profiles.appendDuplicates = account.switches.appendDuplicates;
}

/** What an account is and how it behaves; keys are shown, this address being for tests. */
function state(sandbox: Sandbox, account: Account): object {
  return {
    id: account.id,
    publicKey: account.id,
    keys: account.keys,
    seed: account.seed,
    asOf: new Date(account.asOf).toISOString(),
    organizationName: account.organizationName,
    currency: account.currency,
    timezone: account.timezone,
    plan: { advancedKdp: account.advancedKdp },
    limits: account.quota.mode,
    windowPhaseMs: account.quota.phaseMs,
    otherIntegration: { share: account.quota.foreignShare },
    latencyMs: account.latencyMs,
    jitterMs: account.jitterMs,
    asyncDelayMs: account.asyncDelayMs,
    revisions: account.revisions,
    switches: account.switches,
    quotaUsed: account.quota.used(sandbox.clock.now()),
    pendingJobs: account.tasks.size,
    rows: {
      profiles: account.profiles.table.size,
      lists: account.lists.size,
      segments: account.segments.size,
      campaigns: account.campaigns.size,
      metrics: account.metrics.size,
      events: account.events.size,
      webhooks: account.webhooks.size,
    },
    requests: account.log.summary(),
  };
}

async function accountControl(call: ControlCall, account: Account): Promise<unknown> {
  const { sandbox, method, parts, query, body } = call;
  const [, , what, item] = parts;
  switch (what) {
    case undefined:
      if (method === 'DELETE') sandbox.remove(account);
      else if (method !== 'GET') applySwitches(sandbox, account, body as AccountSwitches);
      return state(sandbox, account);
    case 'faults':
      return faults(call, account, item);
    case 'requests': {
      if (method === 'DELETE') account.log.clear();
      const since = Number(query.get('since') ?? 0);
      return { requests: account.log.list(query.get('operation'), since), totals: account.log.summary() };
    }
    case 'quota':
      if (method === 'DELETE') account.quota.reset();
      return account.quota.used(sandbox.clock.now());
    case 'webhooks':
      return webhooks(call, account, item);
    case 'deliver':
      return { deliveries: await sandbox.delivererOf(account).deliver(body as DeliveryRequest) };
    case 'deliveries':
      return { deliveries: account.deliveries };
    case 'digest':
      return digests(account, sandbox.clock.now(), query);
    default:
      return changeState(call, account);
  }
}

/** The account's webhooks with their secrets and real addresses, as no API call ever shows them. */
function webhooks({ method, body }: ControlCall, account: Account, id: string | undefined): unknown {
  if (id === undefined) return { webhooks: [...account.webhooks.values()] };
  const row = account.webhooks.get(id);
  if (row === undefined) throw new ControlError(404, `no webhook ${id}`);
  if (method === 'DELETE') account.webhooks.delete(id);
  else if (method !== 'GET') account.webhooks.set(id, { ...row, ...(body as Partial<WebhookRow>), id });
  return account.webhooks.get(id) ?? row;
}

let faultCount = 0;

function faults({ method, body }: ControlCall, account: Account, id: string | undefined): unknown {
  if (method === 'GET')
    return {
      faults: account.faults.map((fault) => ({ ...fault, times: fault.times === Infinity ? 'forever' : fault.times })),
    };
  if (method === 'DELETE') {
    const kept = id === undefined ? [] : account.faults.filter((fault) => fault.id !== id);
    account.faults.splice(0, account.faults.length, ...kept);
    return { ok: true };
  }
  if (!isObject(body)) throw new ControlError(400, 'a fault is an object');
  const request = body as unknown as FaultRequest;
  const kind = request.preset === undefined ? request.fault : presetFault(request.preset, request.retryAfter);
  if (kind === undefined) throw new ControlError(400, 'fault or preset: one is needed');
  faultCount += 1;
  const fault = planFault(`fault-${faultCount}`, request, kind);
  account.faults.push(fault);
  return { id: fault.id };
}
