import { stampMicro } from '../clock.ts';
import type { Context, Reply } from '../context.ts';
import { pageLinks, relation, resource, single } from '../context.ts';
import { invalidBody, notFound } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { topicOf } from '../store/metrics.ts';
import type { WebhookRow } from '../store/rows.ts';

/** Klaviyo's limits: hooks of one account, and the shortest secret. */
const MOST = 10;
const SECRET_CHARACTERS = 16;

/** The secret never leaves, and the address is masked to its host. */
function webhookResource(context: Context, row: WebhookRow): JsonObject {
  const named = context.query.include.has('webhook-topics');
  const topics = named ? row.topics.map((id) => ({ type: 'webhook-topic', id })) : undefined;
  return resource(
    context,
    'webhook',
    row.id,
    'webhooks',
    {
      name: row.name,
      description: row.description,
      endpoint_url: `https://${new URL(row.endpointUrl).host}/*****`,
      enabled: row.enabled,
      created_at: stampMicro(row.created),
      updated_at: stampMicro(row.updated),
    },
    { 'webhook-topics': relation(context, `webhooks/${row.id}`, 'webhook-topics', topics) },
  );
}

function topicResource(context: Context, id: string): JsonObject {
  return resource(context, 'webhook-topic', id, 'webhook-topics', null);
}

/** Topics of the account: one for each of its metrics, so the list differs from account to account. */
function topicsOf(context: Context): string[] {
  return [...new Set([...context.account.metrics.written()].map(topicOf))].sort();
}

function included(context: Context, rows: readonly WebhookRow[]): JsonObject[] | undefined {
  if (context.query.include.size === 0) return undefined;
  return [...new Set(rows.flatMap((row) => row.topics))].map((id) => topicResource(context, id));
}

function requireWebhook(context: Context): WebhookRow {
  const id = context.params.id ?? '';
  const row = context.account.webhooks.get(id);
  if (row === undefined) throw notFound('webhook', id);
  return row;
}

export function getWebhooks(context: Context): Reply {
  const rows = [...context.account.webhooks.values()];
  const more = included(context, rows);
  return {
    status: 200,
    document: {
      data: rows.map((row) => webhookResource(context, row)),
      ...(more === undefined ? {} : { included: more }),
      links: pageLinks(context, null),
    },
  };
}

export function getWebhook(context: Context): Reply {
  const row = requireWebhook(context);
  return { status: 200, document: single(context, webhookResource(context, row), included(context, [row])) };
}

interface WebhookBody {
  data: {
    id?: string;
    attributes: {
      name?: string | null;
      description?: string | null;
      endpoint_url?: string | null;
      secret_key?: string | null;
      enabled?: boolean | null;
    };
    relationships?: { 'webhook-topics'?: { data?: { id: string }[] } };
  };
}

export function createWebhook(context: Context): Reply {
  const { account, now } = context;
  const { attributes, relationships } = (context.body as WebhookBody).data;
  if (account.webhooks.size >= MOST) throw invalidBody(`An account may have at most ${MOST} webhooks.`, '/data');
  const row: WebhookRow = {
    id: account.ids.ulid(now),
    name: attributes.name ?? '',
    description: attributes.description ?? null,
    endpointUrl: checkedUrl(attributes.endpoint_url ?? ''),
    secret: checkedSecret(attributes.secret_key ?? ''),
    enabled: true,
    topics: checkedTopics(context, relationships),
    created: now,
    updated: now,
    failingSince: null,
  };
  if (row.name.trim() === '') throw invalidBody("'name' may not be empty.", '/data/attributes/name');
  account.webhooks.set(row.id, row);
  return { status: 201, document: single(context, webhookResource(context, row)) };
}

export function updateWebhook(context: Context): Reply {
  const row = requireWebhook(context);
  const { data } = context.body as WebhookBody;
  if (data.id !== row.id) throw invalidBody('The id in the body must match the id in the path.', '/data/id');
  const { name, description, endpoint_url: url, secret_key: secret, enabled } = data.attributes;
  const changed: WebhookRow = {
    ...row,
    name: name ?? row.name,
    // Recorded: a null description is ignored.
    description: description ?? row.description,
    endpointUrl: typeof url === 'string' ? checkedUrl(url) : row.endpointUrl,
    secret: typeof secret === 'string' ? checkedSecret(secret) : row.secret,
    enabled: enabled ?? row.enabled,
    topics:
      data.relationships?.['webhook-topics'] === undefined ? row.topics : checkedTopics(context, data.relationships),
    updated: context.now,
    failingSince: enabled === true ? null : row.failingSince,
  };
  context.account.webhooks.set(row.id, changed);
  return { status: 200, document: single(context, webhookResource(context, changed)) };
}

export function deleteWebhook(context: Context): Reply {
  context.account.webhooks.delete(requireWebhook(context).id);
  return { status: 204 };
}

export function getWebhookTopics(context: Context): Reply {
  const data = topicsOf(context).map((id) => topicResource(context, id));
  return { status: 200, document: { data, links: pageLinks(context, null) } };
}

export function getWebhookTopic(context: Context): Reply {
  const id = context.params.id ?? '';
  if (!topicsOf(context).includes(id)) throw notFound('webhook topic', id);
  return { status: 200, document: single(context, topicResource(context, id)) };
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'https:')
    throw invalidBody('endpoint_url must be a valid https URL.', '/data/attributes/endpoint_url');
  return text;
}

function checkedSecret(text: string): string {
  if (text.length < SECRET_CHARACTERS)
    throw invalidBody(`secret_key must be at least ${SECRET_CHARACTERS} characters.`, '/data/attributes/secret_key');
  return text;
}

function checkedTopics(context: Context, relationships: WebhookBody['data']['relationships']): string[] {
  const wanted = relationships?.['webhook-topics']?.data ?? [];
  const at = '/data/relationships/webhook-topics/data';
  if (wanted.length === 0) throw invalidBody('At least one webhook topic must be provided.', at);
  const known = topicsOf(context);
  wanted.forEach(({ id }, index) => {
    if (!known.includes(id)) throw invalidBody(`'${id}' is not a valid webhook topic.`, `${at}/${index}/id`);
  });
  return [...new Set(wanted.map(({ id }) => id))];
}
