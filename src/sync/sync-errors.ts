import { STATUS_OF, type ErrorCode } from '../common/errors';
import { detailOf, type Language } from '../common/messages';
import type { Resource } from '../mirror/resources';
import type { SyncFault } from './sync-faults';

/** Why a run or a resource of it did not end well. */
export interface SyncError {
  /** For programs: a code of the service, or one of `SYNC_FAULTS`. */
  code: string;
  /** For people, in their language: what happened and what to do next. */
  detail: string;
}

type Texts = Readonly<Record<Language, string>>;

/** What only a run can come to, and what a run says otherwise than a call. */
const SYNC_TEXTS: Readonly<Record<SyncFault, Texts> & Partial<Record<ErrorCode, Texts>>> = {
  SYNC_TOO_FEW_ROWS: {
    fr: "Klaviyo a rendu moins de la moitié des lignes connues : rien n'a été marqué comme supprimé. Si la suivante voit la même chose, ce sera cru.",
    en: 'Klaviyo gave less than half of the rows known: nothing was marked as gone. If the next full run sees the same, it is believed.',
  },
  SYNC_ROWS_REFUSED: {
    fr: "Des lignes n'ont pas pu être enregistrées (voir les journaux) ; toutes les autres l'ont été. Prévenez le support.",
    en: 'Some rows could not be stored (see the logs); all others were. Tell support.',
  },
  SYNC_PAGES_REPEAT: {
    fr: 'Les pages de Klaviyo tournent en rond. La prochaine synchronisation reprendra ; si cela persiste, prévenez le support.',
    en: "Klaviyo's pages lead in a circle. The next synchronisation tries again; if it persists, tell support.",
  },
  KLAVIYO_RATE_LIMITED: {
    fr: 'Le quota Klaviyo de ce compte est resté épuisé trop longtemps. La prochaine synchronisation reprendra.',
    en: 'The Klaviyo quota of this account stayed exhausted for too long. The next synchronisation tries again.',
  },
  KLAVIYO_UNAVAILABLE: {
    fr: "Klaviyo n'a pas répondu correctement pendant trop longtemps. La prochaine synchronisation reprendra.",
    en: 'Klaviyo did not answer properly for too long. The next synchronisation tries again.',
  },
  KLAVIYO_TIMEOUT: {
    fr: "Klaviyo n'a pas répondu à temps pendant trop longtemps. La prochaine synchronisation reprendra.",
    en: 'Klaviyo did not answer in time for too long. The next synchronisation tries again.',
  },
  SERVICE_UNAVAILABLE: {
    fr: "Le service n'a pas pu travailler pendant trop longtemps. La prochaine synchronisation reprendra.",
    en: 'The service could not work for too long. The next synchronisation tries again.',
  },
  INTERNAL: {
    fr: 'Une erreur est survenue de notre côté. La prochaine synchronisation reprendra ; si elle persiste, prévenez le support.',
    en: 'Something went wrong on our side. The next synchronisation tries again; if it persists, tell support.',
  },
};

const SCOPES: Readonly<Record<Resource, string>> = {
  lists: 'lists:read',
  segments: 'segments:read',
  profiles: 'profiles:read',
  memberships: 'lists:read, segments:read, profiles:read',
  campaigns: 'campaigns:read',
  metrics: 'metrics:read',
  events: 'events:read, metrics:read, profiles:read',
};

/** @param resource whose error it is; null for that of a whole run */
export function syncErrorOf(code: string | null, resource: Resource | null, language: Language): SyncError | null {
  if (code === null) return null;
  const own = hasText(code) ? SYNC_TEXTS[code] : undefined;
  if (own) return { code, detail: own[language] };
  if (!isErrorCode(code)) return { code, detail: code };
  return { code, detail: detailOf(code, language, resource ? { scopes: SCOPES[resource] } : {}) };
}

function hasText(code: string): code is keyof typeof SYNC_TEXTS {
  return Object.hasOwn(SYNC_TEXTS, code);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(STATUS_OF, code);
}
