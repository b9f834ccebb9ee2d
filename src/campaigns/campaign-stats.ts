/** Counts of one message of a campaign, as Klaviyo reports them; null where it says none. */
export interface MessageCounts {
  recipients: number | null;
  delivered: number | null;
  opens: number | null;
  uniqueOpens: number | null;
  clicks: number | null;
  uniqueClicks: number | null;
  bounces: number | null;
  unsubscribes: number | null;
  unsubscribedPeople: number | null;
  spamComplaints: number | null;
  /** Null without a usable conversion metric, as is `revenue`. */
  conversions: number | null;
  revenue: number | null;
}

/** A campaign's figures. Rates are fractions, computed from the counts; null over zero. */
export interface CampaignStats {
  recipients: number | null;
  delivered: number | null;
  opens: number | null;
  uniqueOpens: number | null;
  openRate: number | null;
  clicks: number | null;
  uniqueClicks: number | null;
  clickRate: number | null;
  bounces: number | null;
  bounceRate: number | null;
  unsubscribes: number | null;
  unsubscribeRate: number | null;
  spamComplaints: number | null;
  conversions: number | null;
  revenue: number | null;
  currency: string | null;
  computedAt: string;
}

/** The figures of a campaign from those of its messages (a test of variations has several). */
export function campaignStats(
  messages: readonly MessageCounts[],
  currency: string | null,
  computedAt: string,
): CampaignStats {
  const [only] = messages;
  const total = (name: keyof MessageCounts) =>
    messages.length === 1 && only ? only[name] : sum(messages.map((message) => message[name]));
  const recipients = total('recipients');
  const delivered = total('delivered');
  const uniqueOpens = total('uniqueOpens');
  const uniqueClicks = total('uniqueClicks');
  const bounces = total('bounces');
  return {
    recipients,
    delivered,
    opens: total('opens'),
    uniqueOpens,
    openRate: rate(uniqueOpens, delivered),
    clicks: total('clicks'),
    uniqueClicks,
    clickRate: rate(uniqueClicks, delivered),
    bounces,
    bounceRate: rate(bounces, recipients),
    unsubscribes: total('unsubscribes'),
    unsubscribeRate: rate(total('unsubscribedPeople'), delivered),
    spamComplaints: total('spamComplaints'),
    conversions: total('conversions'),
    revenue: total('revenue'),
    currency,
    computedAt,
  };
}

/** Null when nothing is known; what is unknown of some messages does not hide the others. */
function sum(counts: readonly (number | null)[]): number | null {
  const known = counts.filter((count) => count !== null);
  return known.length === 0 ? null : known.reduce((total, count) => total + count, 0);
}

function rate(part: number | null, whole: number | null): number | null {
  return part === null || whole === null || whole === 0 ? null : part / whole;
}
