import type { Account } from '../account.ts';
import type { Context, Reply } from '../context.ts';
import { pageLinks, resource, single } from '../context.ts';
import { invalidBody, invalidParameter, notFound } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { listPage } from '../paging.ts';
import type { CampaignRow, MessageRow } from '../store/rows.ts';
import { campaignResource, messageResource } from './campaign-view.ts';
import { includedTags } from './group-view.ts';
import { recordSend } from './send.ts';

const CHANNELS: Record<string, string> = { email: '2022-09-07', sms: '2022-09-07', mobile_push: '2025-01-15' };

export function getCampaigns(context: Context): Reply {
  const channel = context.query.conditions.find(({ field }) => field === 'messages.channel')?.values[0];
  const since = typeof channel === 'string' && Object.hasOwn(CHANNELS, channel) ? CHANNELS[channel] : undefined;
  if (since === undefined || since > context.revision)
    throw invalidParameter(`'${String(channel)}' is not a valid value for messages.channel.`, 'filter');
  const { rows, next } = listPage(context, context.account.campaigns, { order: 'created_at', descending: true });
  const { include } = context.query;
  const included: JsonObject[] = [];
  if (include.has('campaign-messages'))
    for (const row of rows) included.push(...row.messages.map((message) => messageResource(context, row, message)));
  if (include.has('tags')) included.push(...includedTags(context, rows));
  return {
    status: 200,
    document: {
      data: rows.map((row) => campaignResource(context, row)),
      ...(include.size > 0 ? { included } : {}),
      links: pageLinks(context, next),
    },
  };
}

export function getCampaign(context: Context): Reply {
  const row = requireCampaign(context.account, context.params.id ?? '');
  const { include } = context.query;
  const included: JsonObject[] = [];
  if (include.has('campaign-messages'))
    included.push(...row.messages.map((message) => messageResource(context, row, message)));
  if (include.has('tags')) included.push(...includedTags(context, [row]));
  return {
    status: 200,
    document: single(context, campaignResource(context, row), include.size > 0 ? included : undefined),
  };
}

export function getCampaignMessages(context: Context): Reply {
  const row = requireCampaign(context.account, context.params.id ?? '');
  const { include } = context.query;
  return {
    status: 200,
    document: {
      data: row.messages.map((message) => messageResource(context, row, message)),
      ...(include.size > 0 ? { included: include.has('campaign') ? [campaignResource(context, row)] : [] } : {}),
      links: pageLinks(context, null),
    },
  };
}

export function getCampaignMessage(context: Context): Reply {
  const id = context.params.id ?? '';
  const found = messageById(context.account, id);
  if (found === undefined) throw notFound('campaign message', id);
  const { include } = context.query;
  const included =
    include.size === 0 ? undefined : include.has('campaign') ? [campaignResource(context, found.campaign)] : [];
  return { status: 200, document: single(context, messageResource(context, found.campaign, found.message), included) };
}

function messageById(account: Account, id: string): { campaign: CampaignRow; message: MessageRow } | undefined {
  for (const campaign of account.campaigns.written()) {
    const message = campaign.messages.find((known) => known.id === id);
    if (message !== undefined) return { campaign, message };
  }
  return undefined;
}

export function requireCampaign(account: Account, id: string): CampaignRow {
  const row = account.campaigns.get(id);
  if (row === undefined) throw notFound('campaign', id);
  return row;
}

/** Status of a send job, read from the campaign's own: the job's id is the campaign's. */
function jobStatus(row: CampaignRow): string {
  if (row.status.startsWith('Cancelled')) return 'cancelled';
  if (row.status === 'Sent') return 'complete';
  return row.status === 'Sending' ? 'processing' : 'queued';
}

function jobResource(context: Context, row: CampaignRow): JsonObject {
  return resource(context, 'campaign-send-job', row.id, 'campaign-send-jobs', { status: jobStatus(row) });
}

/** Sends a draft or scheduled campaign: Preparing to send, Sending, Sent, one asynchronous delay apart. */
export function sendCampaign(context: Context): Reply {
  const { account, now } = context;
  const { id } = (context.body as { data: { id: string } }).data;
  const row = requireCampaign(account, id);
  if (row.status !== 'Draft' && row.status !== 'Scheduled')
    throw invalidBody(`Campaign ${id} cannot be sent from status ${row.status}.`, '/data/id');
  const step = (status: string, due: number, then?: (campaign: CampaignRow) => void) => {
    account.tasks.at(due, () => {
      const current = account.campaigns.get(id);
      if (current === undefined || current.status.startsWith('Cancelled') || current.status === 'Draft') return;
      const next = {
        ...current,
        status,
        updated: due,
        sent: status === 'Sent' || status === 'Sending' ? due : current.sent,
      };
      account.campaigns.put(next);
      then?.(next);
    });
  };
  account.campaigns.put({ ...row, status: 'Preparing to send', updated: now, scheduled: row.scheduled ?? now });
  step('Sending', now + account.asyncDelayMs);
  step('Sent', now + 2 * account.asyncDelayMs, (campaign) => {
    recordSend(account, campaign, now + 2 * account.asyncDelayMs);
  });
  return { status: 202, document: single(context, jobResource(context, row)) };
}

export function getSendJob(context: Context): Reply {
  return {
    status: 200,
    document: single(context, jobResource(context, requireCampaign(context.account, context.params.id ?? ''))),
  };
}

/** Cancels a send for good, or reverts it to a draft. */
export function cancelSend(context: Context): Reply {
  const { data } = context.body as { data: { id: string; attributes: { action: 'cancel' | 'revert' } } };
  const row = requireCampaign(context.account, context.params.id ?? '');
  if (data.id !== row.id) throw invalidBody('The id in the body must match the id in the path.', '/data/id');
  const status = data.attributes.action === 'cancel' ? 'Cancelled' : 'Draft';
  context.account.campaigns.put({
    ...row,
    status,
    updated: context.now,
    scheduled: status === 'Draft' ? null : row.scheduled,
  });
  return { status: 204 };
}
