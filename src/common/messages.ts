import type { ErrorCode } from './errors';
import { en } from './messages.en';
import { fr } from './messages.fr';

export type Language = 'fr' | 'en';
export type MessageParams = Readonly<Record<string, string | number>>;

/** Every fault that a field of the caller's input can have. */
export type FaultKey =
  | 'required'
  | 'unknownField'
  | 'notText'
  | 'notNumber'
  | 'notInteger'
  | 'notBoolean'
  | 'notObject'
  | 'notArray'
  | 'notInstant'
  | 'empty'
  | 'tooShort'
  | 'tooLong'
  | 'tooSmall'
  | 'tooLarge'
  | 'tooManyItems'
  | 'tooFewItems'
  | 'tooManyKeys'
  | 'tooDeep'
  | 'tooHeavy'
  | 'notEmail'
  | 'notPhone'
  | 'notUuid'
  | 'notUserId'
  | 'notPrivateKey'
  | 'notPublicKey'
  | 'notKlaviyoId'
  | 'notCurrency'
  | 'notUrl'
  | 'notOneOf'
  | 'notUnique'
  | 'givenTwice'
  | 'oneOfRequired'
  | 'onlyOneOf'
  | 'forbiddenKey'
  | 'holdsSecret'
  | 'reservedTags'
  | 'reservedMetric'
  | 'notLive'
  | 'tagsWithAddRemove'
  | 'badCursor'
  | 'badHeader'
  | 'timeOutOfRange'
  | 'nothingToDo'
  | 'otherAccount'
  | 'unknownTopic'
  | 'hasNoSecret'
  | 'tooWide'
  | 'malformed';

export interface Catalogue {
  codes: Record<ErrorCode, { title: string; detail: string }>;
  faults: Record<FaultKey, string>;
}

const CATALOGUES: Record<Language, Catalogue> = { fr, en };

function fill(template: string, params: MessageParams): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => String(params[name] ?? '…'));
}

export function titleOf(code: ErrorCode, language: Language): string {
  return CATALOGUES[language].codes[code].title;
}

/** The sentence for people: what happened and what to do next. */
export function detailOf(code: ErrorCode, language: Language, params: MessageParams): string {
  return fill(CATALOGUES[language].codes[code].detail, params);
}

export function faultText(key: FaultKey, language: Language, params: MessageParams = {}): string {
  return fill(CATALOGUES[language].faults[key], params);
}

/** The language of `Accept-Language` by its weights; French when it says nothing that we speak. */
export function languageOf(header: string | undefined): Language {
  if (!header) return 'fr';
  let best: { language: Language; weight: number } | undefined;
  for (const part of header.slice(0, 500).split(',')) {
    const [range = '', ...rest] = part.trim().toLowerCase().split(';');
    const q = rest.map((item) => /^\s*q=([\d.]+)\s*$/.exec(item)?.[1]).find((item) => item !== undefined);
    const weight = q === undefined ? 1 : Number(q);
    const language = range.startsWith('fr') ? 'fr' : range.startsWith('en') ? 'en' : undefined;
    if (language && weight > 0 && (!best || weight > best.weight)) best = { language, weight };
  }
  return best?.language ?? 'fr';
}
