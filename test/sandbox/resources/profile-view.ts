import { stamp, stampOrNull } from '../clock.ts';
import type { Context } from '../context.ts';
import { identifiers, relation, resource } from '../context.ts';
import type { JsonObject } from '../json.ts';
import { mix } from '../random.ts';
import type { ProfileRow } from '../store/rows.ts';

/** Consent as Klaviyo shows it with `additional-fields[profile]=subscriptions`; channels grew with the revisions. */
export function subscriptions(row: ProfileRow, revision: string): JsonObject {
  const { emailConsent: email, smsConsent: sms } = row;
  const marketing: JsonObject = {
    can_receive_email_marketing: row.email !== null && email.suppressions.length === 0,
    consent: email.consent,
    consent_timestamp: stampOrNull(email.consentedAt),
    last_updated: stampOrNull(email.updatedAt),
    method: email.method,
    method_detail: email.methodDetail,
    custom_method_detail: email.customMethodDetail,
    double_optin: email.doubleOptIn,
    suppression: email.suppressions.map(({ reason, at }) => ({ reason, timestamp: stamp(at) })),
    list_suppressions: email.listSuppressions.map(({ listId, reason, at }) => ({
      list_id: listId,
      reason,
      timestamp: stamp(at),
    })),
  };
  const phone: JsonObject = {
    can_receive_sms_marketing: row.phone_number !== null && sms.consent === 'SUBSCRIBED',
    consent: sms.consent,
    consent_timestamp: stampOrNull(sms.consentedAt),
    method: sms.method,
    method_detail: sms.methodDetail,
    last_updated: stampOrNull(sms.updatedAt),
  };
  if (revision < '2024-10-15') return { email: { marketing }, sms: { marketing: phone } };
  const transactional: JsonObject = {
    can_receive_sms_transactional: false,
    consent: 'NEVER_SUBSCRIBED',
    consent_timestamp: null,
    method: null,
    method_detail: '',
    last_updated: null,
  };
  const push = { can_receive_push_marketing: false, consent: 'NEVER_SUBSCRIBED', consent_timestamp: null };
  return { email: { marketing }, sms: { marketing: phone, transactional }, mobile_push: { marketing: push } };
}

function predictions(row: ProfileRow): JsonObject {
  const h = mix(row.created % 2147483647, 51);
  const value = (h % 50000) / 100;
  const orders = h % 12;
  return {
    historic_clv: value,
    predicted_clv: value / 2,
    total_clv: value * 1.5,
    historic_number_of_orders: orders,
    predicted_number_of_orders: orders / 2,
    average_days_between_orders: orders === 0 ? null : 30,
    average_order_value: orders === 0 ? null : value / orders,
    churn_probability: (h % 100) / 100,
    expected_date_of_next_order: null,
  };
}

/** The attributes of a profile under a revision, with the expensive ones that were asked for. */
export function profileAttributes(
  row: ProfileRow,
  revision: string,
  additional: ReadonlySet<string> | undefined,
): JsonObject {
  return {
    email: row.email,
    phone_number: row.phone_number,
    external_id: row.external_id,
    first_name: row.first_name,
    last_name: row.last_name,
    organization: row.organization,
    ...(revision >= '2024-05-15' ? { locale: row.locale } : {}),
    title: row.title,
    image: row.image,
    created: stamp(row.created),
    updated: stamp(row.updated),
    last_event_date: stampOrNull(row.last_event_date),
    location: row.location,
    properties: row.properties,
    ...(additional?.has('subscriptions') === true ? { subscriptions: subscriptions(row, revision) } : {}),
    ...(additional?.has('predictive_analytics') === true ? { predictive_analytics: predictions(row) } : {}),
  };
}

/**
 * The text of a profile resource, the same as `profileResource` gives: the parts that every row repeats are written
 * out, for pages of a hundred rows are what a synchronisation asks for all day.
 */
export function profileText(context: Context, row: ProfileRow, joined?: number): string {
  if (context.query.fields.has('profile')) return JSON.stringify(profileResource(context, row, joined));
  const attributes = profileAttributes(row, context.revision, context.query.additional.get('profile'));
  if (joined !== undefined) attributes.joined_group_at = stamp(joined);
  const at = `${context.origin}/api/profiles/${row.id}/`;
  const names = context.revision >= '2024-10-15' ? ['lists', 'segments', 'push-tokens'] : ['lists', 'segments'];
  const relationships = names
    .map((name) => `"${name}":{"links":{"self":"${at}relationships/${name}/","related":"${at}${name}/"}}`)
    .join(',');
  return (
    `{"type":"profile","id":"${row.id}","attributes":${JSON.stringify(attributes)},` +
    `"relationships":{${relationships}},"links":{"self":"${at}"}}`
  );
}

/** Resources that a profile's relationships name, when asked for with `include`. */
export interface ProfileLinks {
  lists?: readonly string[];
  segments?: readonly string[];
}

/** A profile resource; `joined` is its place in the list or segment that is being read. */
export function profileResource(
  context: Context,
  row: ProfileRow,
  joined?: number,
  links: ProfileLinks = {},
): JsonObject {
  const attributes = profileAttributes(row, context.revision, context.query.additional.get('profile'));
  if (joined !== undefined) attributes.joined_group_at = stamp(joined);
  const owner = `profiles/${row.id}`;
  const relationships: JsonObject = {
    lists: relation(context, owner, 'lists', links.lists && identifiers('list', links.lists)),
    segments: relation(context, owner, 'segments', links.segments && identifiers('segment', links.segments)),
    ...(context.revision >= '2024-10-15' ? { 'push-tokens': relation(context, owner, 'push-tokens') } : {}),
  };
  return resource(context, 'profile', row.id, 'profiles', attributes, relationships);
}
