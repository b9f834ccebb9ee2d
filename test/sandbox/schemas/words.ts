/** Closed lists of words that requests may use, each with the revision it appeared in. */

const since = (revision: string, names: readonly string[]) => names.map((name) => [revision, name] as const);
const FIRST = '2022-09-07';

/** What metric-aggregates may group by. */
export const AGGREGATE_DIMENSIONS: readonly (readonly [string, string])[] = [
  ...since(FIRST, [
    '$attributed_channel',
    '$attributed_flow',
    '$attributed_message',
    '$attributed_variation',
    '$campaign_channel',
    '$flow',
    '$flow_channel',
    '$message',
    '$message_send_cohort',
    '$variation',
    '$variation_send_cohort',
    'Bounce Type',
    'Campaign Name',
    'Client Canonical',
    'Client Name',
    'Client Type',
    'Email Domain',
    'Failure Source',
    'Failure Type',
    'From Number',
    'From Phone Region',
    'List',
    'Message Name',
    'Message Type',
    'Method',
    'Subject',
    'To Number',
    'To Phone Region',
    'URL',
    'form_id',
  ]),
  ...since('2025-01-15', ['$value_currency', 'Bot Click', 'Inbox Provider']),
  ...since('2026-01-15', ['$usage_amount', 'Message Format', 'Segment Count']),
];

/** What a campaign-values-report may ask for. */
export const STATISTICS: readonly (readonly [string, string])[] = [
  ...since(FIRST, [
    'average_order_value',
    'bounce_rate',
    'bounced',
    'bounced_or_failed',
    'bounced_or_failed_rate',
    'click_rate',
    'click_to_open_rate',
    'clicks',
    'clicks_unique',
    'conversion_rate',
    'conversion_uniques',
    'conversion_value',
    'conversions',
    'delivered',
    'delivery_rate',
    'failed',
    'failed_rate',
    'open_rate',
    'opens',
    'opens_unique',
    'recipients',
    'revenue_per_recipient',
    'spam_complaint_rate',
    'spam_complaints',
    'unsubscribe_rate',
    'unsubscribe_uniques',
    'unsubscribes',
  ]),
  ...since('2025-10-15', [
    'message_segment_count_sum',
    'text_message_credit_usage_amount',
    'text_message_roi',
    'text_message_spend',
  ]),
];

export const TIMEFRAMES = [
  'last_12_months',
  'last_30_days',
  'last_365_days',
  'last_3_months',
  'last_7_days',
  'last_90_days',
  'last_month',
  'last_week',
  'last_year',
  'this_month',
  'this_week',
  'this_year',
  'today',
  'yesterday',
] as const;

/** What a report's rows may be told apart by. */
export const REPORT_GROUPS = [
  'campaign_id',
  'campaign_message_id',
  'campaign_message_name',
  'group',
  'group_name',
  'send_channel',
  'tag_id',
  'tag_name',
  'text_message_format',
  'variation',
  'variation_name',
] as const;
