import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Account, Key } from './account.ts';
import type { Incoming, Outgoing } from './api.ts';
import { answer, refusal, unroutable, withNext } from './api.ts';
import { readIncoming } from './body.ts';
import { control } from './control.ts';
import { ApiError, authenticationFailed, notAuthenticated, notFoundText } from './errors.ts';
import { invalidCursor } from './cursor.ts';
import type { Fault } from './faults.ts';
import { strike } from './faults.ts';
import type { Match } from './operations.ts';
import { route } from './operations.ts';
import { BEARER_PAGE, HTML_PAGE } from './presets.ts';
import { effectiveRevision, NEWEST } from './revisions.ts';
import type { Sandbox } from './sandbox.ts';
import { send } from './wire.ts';

export interface ServerOptions {
  verbose: boolean;
}

/** The HTTP face of the sandbox: Klaviyo's API under /api, the control address under /_sandbox. */
export function makeServer(sandbox: Sandbox, options: ServerOptions): Server {
  const server = createServer((request, response) => {
    serve(sandbox, options, request, response).catch((error: unknown) => {
      process.stderr.write(`sandbox: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end('sandbox failure: see its standard error');
    });
  });
  server.keepAliveTimeout = 75_000;
  server.requestTimeout = 0;
  return server;
}

async function serve(
  sandbox: Sandbox,
  options: ServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const incoming = await readIncoming(request);
  if (incoming.path === '/_sandbox' || incoming.path.startsWith('/_sandbox/')) {
    await control(sandbox, incoming, response);
    return;
  }
  await serveApi(sandbox, options, incoming, response);
}

interface Caller {
  account: Account | null;
  key: Key | null;
  refusal: ApiError | null;
  page: string | null;
}

/** Who calls: the account of the key, and the refusal when the key does not open it. */
function identify(sandbox: Sandbox, header: string | undefined): Caller {
  const nobody = { account: null, key: null, page: null };
  if (header === undefined) return { ...nobody, refusal: notAuthenticated() };
  const [scheme = '', credential = ''] = header.split(/\s+/, 2);
  if (scheme.toLowerCase() === 'bearer') {
    // Recorded: a private key sent as a bearer token met Cloudflare's page.
    if (credential.startsWith('pk_')) return { ...nobody, refusal: null, page: BEARER_PAGE };
    return { ...nobody, refusal: authenticationFailed() };
  }
  if (scheme.toLowerCase() !== 'klaviyo-api-key' || credential === '')
    return { ...nobody, refusal: notAuthenticated() };
  const owner = sandbox.owner(credential);
  if (owner === undefined) return { ...nobody, refusal: authenticationFailed() };
  return { ...owner, page: null, refusal: owner.key.invalid ? authenticationFailed() : null };
}

interface Outcome {
  outgoing: Outgoing;
  effective: string | null;
}

async function serveApi(
  sandbox: Sandbox,
  options: ServerOptions,
  incoming: Incoming,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now();
  const at = sandbox.clock.now();
  const caller = identify(sandbox, header(incoming, 'authorization'));
  const { account } = caller;
  const found = route(incoming.method, incoming.path);
  const match = 'operation' in found ? found : null;
  const target = incoming.search === '' ? incoming.path : `${incoming.path}?${incoming.search}`;
  const fault =
    account === null ? null : strike(account.faults, match?.operation ?? null, incoming.method, decoded(target));
  const latency = account === null ? 0 : account.latencyMs + Math.random() * account.jitterMs;
  // Half the way there, half the way back: what Klaviyo counts, it counts in between.
  if (latency > 1) await pause(latency / 2);
  if (fault?.fault.kind === 'delay') await pause(fault.fault.ms);
  const outcome = decide(sandbox, incoming, caller, found, fault);
  if (latency > 1) await pause(latency / 2);
  const { outgoing } = outcome;
  const ms = Math.round((performance.now() - started) * 100) / 100;
  (account?.log ?? sandbox.strangers).add({
    at: new Date(at).toISOString(),
    method: incoming.method,
    path: incoming.path,
    query: incoming.search,
    operation: match?.operation.id ?? null,
    revision: header(incoming, 'revision') ?? null,
    effectiveRevision: outcome.effective,
    status: outgoing.status,
    body: kept(outgoing.parsed, incoming.body),
    headers: loggedHeaders(incoming),
    ms,
    ...(fault === null ? {} : { fault: fault.preset ?? fault.fault.kind }),
  });
  if (options.verbose) process.stdout.write(`${incoming.method} ${target} ${outgoing.status} ${ms} ms\n`);
  await send(response, outgoing, fault?.fault ?? null);
}

/** Works out the answer; faults that come before the work replace it, the others are applied on the wire. */
function decide(
  sandbox: Sandbox,
  incoming: Incoming,
  caller: Caller,
  found: Match | { methods: string[] },
  fault: Fault | null,
): Outcome {
  const now = sandbox.clock.now();
  const { account, key } = caller;
  account?.settle(now);
  if (caller.page !== null) return { outgoing: page(400, caller.page), effective: null };
  const instead = fault === null ? null : replacement(fault);
  if (caller.refusal !== null || account === null || key === null)
    return { outgoing: instead ?? refusal(caller.refusal ?? authenticationFailed(), NEWEST, {}), effective: null };
  if (!('operation' in found))
    return { outgoing: instead ?? refusal(unroutable(found.methods, incoming.method), NEWEST, {}), effective: null };
  let revision: string;
  try {
    revision = effectiveRevision(
      header(incoming, 'revision'),
      header(incoming, 'x-klaviyo-revision-fall-forward-opt-out') === '1',
      now,
      account.revisions,
    );
  } catch (error) {
    if (error instanceof ApiError) return { outgoing: instead ?? refusal(error, NEWEST, {}), effective: null };
    throw error;
  }
  if (revision < found.operation.since) {
    const young = notFoundText('Revision date requested is before the earliest available');
    return { outgoing: instead ?? refusal(young, revision, {}), effective: revision };
  }
  if (instead !== null) return { outgoing: withBody(instead, incoming), effective: revision };
  if (fault?.fault.kind === 'expireCursors' && decoded(incoming.search).includes('page[cursor]'))
    return { outgoing: refusal(invalidCursor(), revision, {}), effective: revision };
  const outgoing = answer(incoming, found, account, key, revision, now);
  return { outgoing: changed(outgoing, fault), effective: revision };
}

/** The answer of a fault that keeps the request from being carried out. */
function replacement({ fault }: Fault): Outgoing | null {
  switch (fault.kind) {
    case 'status':
      return statusAnswer(fault.status, fault.body, fault.headers, fault.html === true);
    case 'html200':
      return page(200, HTML_PAGE);
    case 'reset':
      return { status: 0, headers: {}, body: '', parsed: null };
    case 'hang':
      return fault.where === 'headers' ? { status: 0, headers: {}, body: '', parsed: null } : null;
    default:
      return null;
  }
}

/** The answer of a fault that strikes after the request was carried out. */
function changed(outgoing: Outgoing, fault: Fault | null): Outgoing {
  if (fault === null) return outgoing;
  if (fault.fault.kind === 'applyThenStatus')
    return {
      ...statusAnswer(fault.fault.status, fault.fault.body, fault.fault.headers, false),
      parsed: outgoing.parsed,
    };
  if (fault.fault.kind === 'nextLink' && outgoing.status === 200)
    return { ...outgoing, body: withNext(outgoing.body, fault.fault.href) };
  return outgoing;
}

function statusAnswer(status: number, body: unknown, headers: Record<string, string> = {}, html: boolean): Outgoing {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const type = html ? 'text/html; charset=UTF-8' : 'application/vnd.api+json';
  return {
    status,
    headers: { ...(text === '' ? {} : { 'content-type': type }), ...headers },
    body: text,
    parsed: null,
  };
}

function page(status: number, html: string): Outgoing {
  return { status, headers: { 'content-type': 'text/html; charset=UTF-8' }, body: html, parsed: null };
}

/** A request that a fault swallowed still shows its body in the log. */
function withBody(outgoing: Outgoing, incoming: Incoming): Outgoing {
  try {
    return {
      ...outgoing,
      parsed: incoming.body.length === 0 ? null : (JSON.parse(incoming.body.toString('utf8')) as unknown),
    };
  } catch {
    return outgoing;
  }
}

const KEPT_BYTES = 256 * 1024;

function kept(parsed: unknown, raw: Buffer): unknown {
  if (raw.length > KEPT_BYTES) return { omittedBytes: raw.length };
  return parsed;
}

function header(incoming: Incoming, name: string): string | undefined {
  const value = incoming.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function loggedHeaders(incoming: Incoming): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    out[name] = name === 'authorization' ? `…${text.slice(-4)}` : text;
  }
  return out;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
