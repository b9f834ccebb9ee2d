import { stamp, stampMicro } from '../clock.ts';
import type { Context } from '../context.ts';
import { identifiers, relation, resource } from '../context.ts';
import type { JsonObject } from '../json.ts';
import type { CampaignRow, MessageRow } from '../store/rows.ts';

/** Statuses that older revisions do not list are told by their stem. */
const LATER_STATUSES = ['Cancelled: Billing Limit', 'Cancelled: Misconfigured'];

function statusOf(row: CampaignRow, revision: string): string {
  return revision < '2026-01-15' && LATER_STATUSES.includes(row.status) ? 'Cancelled' : row.status;
}

function strategy(row: CampaignRow, revision: string): JsonObject {
  const datetime = stamp(row.scheduled ?? row.created);
  const date = datetime.slice(0, 10);
  if (revision < '2025-01-15')
    return {
      method: row.strategy,
      options_static:
        row.strategy === 'static' ? { datetime, is_local: false, send_past_recipients_immediately: null } : null,
      options_throttled: row.strategy === 'throttled' ? { datetime, throttle_percentage: 20 } : null,
      options_sto: row.strategy === 'smart_send_time' ? { date } : null,
    };
  switch (row.strategy) {
    case 'static':
      return { method: 'static', datetime, options: { is_local: false } };
    case 'throttled':
      return { method: 'throttled', datetime, throttle_percentage: 20 };
    case 'smart_send_time':
      return { method: 'smart_send_time', date };
    case 'immediate':
      return { method: 'immediate' };
  }
}

function tracking(row: CampaignRow, revision: string): JsonObject {
  const opens: JsonObject = row.channel === 'email' ? { is_tracking_clicks: true, is_tracking_opens: true } : {};
  if (revision < '2024-10-15') return { is_add_utm: false, utm_params: [], ...opens };
  return { add_tracking_params: false, custom_tracking_params: [], ...opens };
}

/** A campaign: no statistics in any revision; its messages are named even without `include`, as recorded. */
export function campaignResource(context: Context, row: CampaignRow): JsonObject {
  const { revision } = context;
  const owner = `campaigns/${row.id}`;
  const tags = context.query.include.has('tags') ? identifiers('tag', row.tagIds) : undefined;
  return resource(
    context,
    'campaign',
    row.id,
    'campaigns',
    {
      name: row.name,
      status: statusOf(row, revision),
      archived: row.archived,
      audiences: { included: row.audiences.included, excluded: row.audiences.excluded },
      send_options: { use_smart_sending: true },
      tracking_options: tracking(row, revision),
      send_strategy: strategy(row, revision),
      created_at: stampMicro(row.created),
      scheduled_at: row.scheduled === null ? null : stampMicro(row.scheduled),
      updated_at: stampMicro(row.updated),
      send_time: row.sent === null ? null : stamp(row.sent),
    },
    {
      'campaign-messages': relation(
        context,
        owner,
        'campaign-messages',
        identifiers(
          'campaign-message',
          row.messages.map(({ id }) => id),
        ),
      ),
      tags: relation(context, owner, 'tags', tags),
    },
  );
}

const RENDER = { shorten_links: true, add_org_prefix: true, add_info_link: true, add_opt_out_language: false };

/** What a message sends: flat attributes before 2025-01-15, inside `definition` since. */
function content(row: MessageRow, revision: string): JsonObject {
  if (revision < '2025-01-15')
    return {
      label: row.label,
      channel: row.channel,
      content: row.content,
      render_options: row.channel === 'sms' ? RENDER : null,
    };
  switch (row.channel) {
    case 'email':
      return { definition: { channel: 'email', label: row.label, content: row.content } };
    case 'sms':
      return { definition: { channel: 'sms', content: row.content, render_options: RENDER } };
    case 'mobile_push':
      return {
        definition: {
          channel: 'mobile_push',
          notification_type: 'standard',
          content: row.content,
          kv_pairs: null,
          options: { on_open: { type: 'open_app' }, badge: { display: false }, play_sound: false },
        },
      };
  }
}

export function messageResource(context: Context, campaign: CampaignRow, row: MessageRow): JsonObject {
  const { revision } = context;
  const owner = `campaign-messages/${row.id}`;
  const sends = campaign.scheduled === null ? [] : [{ datetime: stamp(campaign.scheduled), is_local: false }];
  return resource(
    context,
    'campaign-message',
    row.id,
    'campaign-messages',
    {
      ...content(row, revision),
      send_times: sends,
      created_at: stampMicro(row.created),
      updated_at: stampMicro(row.updated),
    },
    {
      campaign: relation(context, owner, 'campaign', { type: 'campaign', id: campaign.id }),
      template: relation(context, owner, 'template'),
      ...(revision >= '2025-01-15' ? { image: relation(context, owner, 'image') } : {}),
    },
  );
}
