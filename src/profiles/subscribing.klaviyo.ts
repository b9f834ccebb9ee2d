/** How somebody agreed to be written to. */
export interface ConsentGiven {
  email?: string;
  phoneNumber?: string;
  /** Where it was given, e.g. the name of a form. */
  source?: string;
  /** When it was given, where that was before now: Klaviyo then asks for no confirmation. */
  consentedAt?: string;
}

/** Revisions that brought what a job may need; `undefined` when every revision has it. */
export function neededFor(consent: ConsentGiven, listId: string | undefined): string | undefined {
  if (consent.consentedAt !== undefined) return HISTORICAL_SINCE;
  return listId === undefined ? WITHOUT_LIST_SINCE : undefined;
}

const HISTORICAL_SINCE = '2024-07-15';
const WITHOUT_LIST_SINCE = '2023-12-15';

/**
 * The subscribe job of one person. Without `consentedAt` a list with double opt-in sends its confirmation; with it
 * Klaviyo records the old consent as it was (`historical_import`), which asks for none.
 */
export function subscribeJob(profileId: string, consent: ConsentGiven, listId: string | undefined): object {
  const { email, phoneNumber, source, consentedAt } = consent;
  const marketing = {
    marketing: { consent: 'SUBSCRIBED', ...(consentedAt === undefined ? {} : { consented_at: consentedAt }) },
  };
  const attributes = {
    ...(email === undefined ? {} : { email }),
    ...(phoneNumber === undefined ? {} : { phone_number: phoneNumber }),
    subscriptions: {
      ...(email === undefined ? {} : { email: marketing }),
      ...(phoneNumber === undefined ? {} : { sms: marketing }),
    },
  };
  return {
    data: {
      type: 'profile-subscription-bulk-create-job',
      attributes: {
        ...(source === undefined ? {} : { custom_source: source }),
        ...(consentedAt === undefined ? {} : { historical_import: true }),
        profiles: { data: [{ type: 'profile', id: profileId, attributes }] },
      },
      ...(listId === undefined ? {} : { relationships: { list: { data: { type: 'list', id: listId } } } }),
    },
  };
}

const JOB_PROFILE = 'data.attributes.profiles.data[*].attributes';

/** Klaviyo's pointers in the words of `POST /subscribe`. */
export const CONSENT_POINTERS: Readonly<Record<string, string>> = {
  [`${JOB_PROFILE}.email`]: 'profile.email',
  [`${JOB_PROFILE}.phone_number`]: 'profile.phoneNumber',
  [`${JOB_PROFILE}.subscriptions.email`]: 'consent.email',
  [`${JOB_PROFILE}.subscriptions.sms`]: 'consent.sms',
  [`${JOB_PROFILE}.subscriptions.email.marketing.consented_at`]: 'consent.consentedAt',
  [`${JOB_PROFILE}.subscriptions.sms.marketing.consented_at`]: 'consent.consentedAt',
  [JOB_PROFILE]: 'profile',
  'data.attributes.custom_source': 'consent.source',
  'data.relationships.list': 'listId',
  data: 'consent',
};
