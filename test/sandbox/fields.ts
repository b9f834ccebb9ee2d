import type { JsonObject } from './json.ts';
import { isObject } from './json.ts';

/** Attribute names per resource type, each with the revision it appeared in and the one from which it is gone. */
const FIRST = '2022-09-07';
type Names = readonly (readonly [name: string, since: string, until?: string])[];

const plain = (...names: string[]): Names => names.map((name) => [name, FIRST] as const);

const ATTRIBUTES: Record<string, Names> = {
  account: [
    ...plain('contact_information', 'industry', 'timezone', 'preferred_currency', 'public_api_key'),
    ['test_account', '2023-12-15'],
    ['locale', '2024-06-15'],
  ],
  profile: [
    ...plain(
      'email',
      'phone_number',
      'external_id',
      'first_name',
      'last_name',
      'organization',
      'title',
      'image',
      'created',
      'updated',
      'last_event_date',
      'location',
      'properties',
    ),
    ['locale', '2024-05-15'],
  ],
  'profile-bulk-import-job': plain(
    'status',
    'created_at',
    'total_count',
    'completed_count',
    'failed_count',
    'completed_at',
    'expires_at',
    'started_at',
  ),
  'profile-suppression-bulk-create-job': plain(
    'status',
    'created_at',
    'total_count',
    'completed_count',
    'completed_at',
    'skipped_count',
  ),
  'profile-suppression-bulk-delete-job': plain(
    'status',
    'created_at',
    'total_count',
    'completed_count',
    'completed_at',
    'skipped_count',
  ),
  'import-error': plain('code', 'title', 'detail', 'source', 'original_payload'),
  'profile-merge': [],
  list: [...plain('name', 'created', 'updated'), ['opt_in_process', '2025-01-15']],
  segment: [
    ...plain('name', 'created', 'updated'),
    ['is_active', '2024-02-15'],
    ['is_starred', '2024-02-15'],
    ['is_processing', '2024-06-15'],
    ['definition', '2024-06-15'],
  ],
  tag: plain('name'),
  'tag-group': plain('name', 'exclusive', 'default'),
  campaign: plain(
    'name',
    'status',
    'archived',
    'audiences',
    'send_options',
    'tracking_options',
    'send_strategy',
    'created_at',
    'scheduled_at',
    'updated_at',
    'send_time',
  ),
  'campaign-message': [
    ...plain('send_times', 'created_at', 'updated_at'),
    ...['label', 'channel', 'content', 'render_options'].map((name) => [name, FIRST, '2025-01-15'] as const),
    ['definition', '2025-01-15'],
  ],
  'campaign-send-job': plain('status'),
  template: [...plain('name', 'editor_type', 'html', 'text', 'created', 'updated'), ['amp', '2025-01-15']],
  image: plain('name', 'image_url', 'format', 'size', 'hidden', 'updated_at'),
  metric: plain('name', 'created', 'updated', 'integration'),
  'metric-aggregate': plain('data', 'dates'),
  'campaign-values-report': plain('results'),
  event: plain('timestamp', 'event_properties', 'datetime', 'uuid'),
  attribution: [],
  flow: plain('name', 'status', 'archived', 'created', 'updated', 'trigger_type'),
  'push-token': plain(
    'created',
    'token',
    'enablement_status',
    'platform',
    'vendor',
    'background',
    'recorded_date',
    'metadata',
  ),
  conversation: plain('channel'),
  webhook: plain('name', 'description', 'endpoint_url', 'enabled', 'created_at', 'updated_at'),
  'webhook-topic': [],
};

export const ATTRIBUTE_TYPES = Object.keys(ATTRIBUTES);

/** Attributes whose inner keys may be named with a dot. */
const NESTED = new Set([
  'contact_information',
  'location',
  'subscriptions',
  'predictive_analytics',
  'audiences',
  'send_options',
  'tracking_options',
  'send_strategy',
  'definition',
  'render_options',
  'metadata',
  'source',
]);

/** The attributes that `fields[TYPE]` may name under a revision; those with an inside also with a dot. */
export function attributeNames(type: string, revision: string, additional: readonly string[]): ReadonlySet<string> {
  const living = (ATTRIBUTES[type] ?? []).filter(
    ([, since, until]) => since <= revision && (until === undefined || revision < until),
  );
  const known = new Set(living.map(([name]) => name));
  for (const name of additional) known.add(name);
  if (revision >= '2026-01-15') known.add('id');
  return known;
}

/** A test of names that `fields[TYPE]` may hold under a revision. */
export function allAttributes(
  type: string,
  revision: string,
  additional: readonly string[],
): (name: string) => boolean {
  const known = attributeNames(type, revision, additional);
  return (name) => {
    const [head = '', ...rest] = name.split('.');
    return known.has(head) && (rest.length === 0 || NESTED.has(head));
  };
}

/** Keeps what a sparse fieldset names; whole attributes or paths into them. */
export function sparse(
  attributes: JsonObject,
  wanted: ReadonlySet<string> | undefined,
  always: ReadonlySet<string> | undefined,
): JsonObject {
  if (wanted === undefined) return attributes;
  const out: JsonObject = {};
  for (const name of [...wanted, ...(always ?? [])]) keep(attributes, name.split('.'), out);
  return out;
}

function keep(from: JsonObject, path: readonly string[], into: JsonObject): void {
  const [head, ...rest] = path;
  if (head === undefined || !Object.hasOwn(from, head)) return;
  const value = from[head] ?? null;
  if (rest.length === 0 || !isObject(value)) {
    into[head] = value;
    return;
  }
  const inner = isObject(into[head]) ? into[head] : {};
  keep(value, rest, inner);
  into[head] = inner;
}
