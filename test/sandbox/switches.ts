/** Behaviours that Klaviyo does not document: each is a switch, so that a test says which assumption it rests on. */
export interface Switches {
  /** `$message` of statistics names the campaign, or its message. */
  messageDimension: 'campaign' | 'message';
  /** `append` adds a value that the array already holds. */
  appendDuplicates: boolean;
  /** profile_count of lists and of segments draw from one bucket. */
  sharedProfileCount: boolean;
  /** Whether events carry `relationships.*.data` without `include`. */
  eventRelationshipData: boolean;
  /** Tier L under revisions before 2026-01-15: 700 a minute, or 750 for everyone. */
  oldTierL: 700 | 750;
  /** The status of a body above 5 MB. */
  tooLargeStatus: 413 | 400;
  /** A new e-mail subscribed without a list and without historical_import becomes no profile (recorded), or does. */
  subscribeWithoutListCreates: boolean;
  /** Statuses of POST profile-merge: 201 by the description, 202 as recorded. */
  mergeStatus: 201 | 202;
  /** Lists answer a bogus `prev` link on their first page, as recorded. */
  bogusPrev: boolean;
  /** A retried webhook delivery is stamped and signed anew. */
  restampRetries: boolean;
  /** Whether SMS is set up: without it a phone number alone identifies nobody. */
  smsSetUp: boolean;
  /** Longest list that `any()` takes. */
  anyLimit: number;
  /** Deliver real events to webhooks by themselves. */
  autoDeliver: boolean;
  /** A sandbox second of webhook backoff in real milliseconds. */
  retryScaleMs: number;
}

export const DEFAULT_SWITCHES: Switches = {
  messageDimension: 'campaign',
  appendDuplicates: false,
  sharedProfileCount: true,
  eventRelationshipData: true,
  oldTierL: 700,
  tooLargeStatus: 413,
  subscribeWithoutListCreates: false,
  mergeStatus: 201,
  bogusPrev: true,
  restampRetries: false,
  smsSetUp: true,
  anyLimit: 1000,
  autoDeliver: false,
  retryScaleMs: 10,
};
