import { DAY, HOUR, MINUTE } from '../clock.ts';
import { ulidOf } from '../ids.ts';
import type { JsonObject } from '../json.ts';
import { mix } from '../random.ts';
import type { CampaignRow, Channel, MessageRow } from './rows.ts';

const STATUSES = [
  'Sent',
  'Sent',
  'Sent',
  'Draft',
  'Sent',
  'Scheduled',
  'Sent',
  'Cancelled',
  'Sent',
  'Sending',
  'Sent',
  'Cancelled: Smart Sending',
  'Sent',
  'Queued without Recipients',
] as const;

/** A status that no revision lists yet: clients must survive it. */
export const FUTURE_STATUS = 'Awaiting Approval';

const NAMES = ['Soldes d’été', 'Newsletter', 'Black Friday', 'Bienvenue', 'Nouveautés', 'Rentrée'];
const SENT_DAYS = 170;

/** One message of a campaign, with the content its channel has. */
export function messageOf(channel: Channel, id: string, label: string, at: number): MessageRow {
  const contents: Record<Channel, JsonObject> = {
    email: {
      subject: label,
      preview_text: 'Aperçu',
      from_email: 'shop@example.com',
      from_label: 'Maison Exemple',
      reply_to_email: null,
      cc_email: null,
      bcc_email: null,
    },
    sms: { body: `${label} {{ link }}`, media_url: null },
    mobile_push: { title: label, body: 'Découvrez', dynamic_image: null },
  };
  return { id, label, channel, content: contents[channel], created: at, updated: at };
}

/** Generated campaigns over channels and statuses, oldest first; a handful are archived. */
export function generatedCampaigns(
  seed: number,
  count: number,
  asOf: number,
  audiences: readonly string[],
  futureStatus: boolean,
): CampaignRow[] {
  return Array.from({ length: count }, (_, index) => {
    const h = mix(seed, 11, index);
    const channel: Channel = index % 6 === 4 ? 'sms' : index % 10 === 8 ? 'mobile_push' : 'email';
    const last = index === count - 1 && count >= 10;
    const status = last && futureStatus ? FUTURE_STATUS : (STATUSES[index % STATUSES.length] as string);
    const at =
      asOf - SENT_DAYS * DAY + Math.floor((index * (SENT_DAYS - 1) * DAY) / Math.max(count, 1)) + (h % 60) * MINUTE;
    const sent = status === 'Sent' || status === 'Sending' ? at : null;
    const scheduled = status === 'Draft' ? null : status === 'Scheduled' ? asOf + (1 + (h % 20)) * DAY : at - HOUR;
    const name = `${NAMES[h % NAMES.length] as string} ${String(index + 1)}`;
    const id = ulidOf(seed, 12, index, at - 2 * DAY);
    return {
      id,
      name,
      status,
      archived: index % 9 === 7,
      channel,
      audiences: {
        included: audiences.length === 0 ? [] : [audiences[h % audiences.length] as string],
        excluded: audiences.length > 1 && h % 4 === 0 ? [audiences[(h + 1) % audiences.length] as string] : [],
      },
      strategy: h % 5 === 0 ? 'immediate' : h % 7 === 0 ? 'throttled' : h % 11 === 0 ? 'smart_send_time' : 'static',
      created: at - 2 * DAY,
      updated: sent ?? at - DAY,
      scheduled,
      sent,
      messages: [messageOf(channel, ulidOf(seed, 13, index, at - 2 * DAY), name, at - 2 * DAY)],
      tagIds: [],
    };
  });
}
