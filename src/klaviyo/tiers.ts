import { ALWAYS, type ExtraBudget, type Limits, type PageSize } from './operation';

/** Klaviyo's tiers. L grew from 700 to 750 a minute on 2026-01-15. */
export const XS: readonly Limits[] = [{ from: ALWAYS, burst: 1, steady: 15 }];
export const S: readonly Limits[] = [{ from: ALWAYS, burst: 3, steady: 60 }];
export const M: readonly Limits[] = [{ from: ALWAYS, burst: 10, steady: 150 }];
export const L: readonly Limits[] = [
  { from: ALWAYS, burst: 75, steady: 700 },
  { from: '2026-01-15', burst: 75, steady: 750 },
];
export const XL: readonly Limits[] = [{ from: ALWAYS, burst: 350, steady: 3500 }];
export const REPORTS: readonly Limits[] = [{ from: ALWAYS, burst: 1, steady: 2, daily: 225 }];
export const LIST_CREATION: readonly Limits[] = [
  { from: ALWAYS, burst: 10, steady: 150 },
  { from: '2024-07-15', burst: 10, steady: 150, daily: 150 },
];

export const PREDICTIONS: ExtraBudget = {
  name: 'predictive_analytics',
  from: ALWAYS,
  query: 'additional-fields[profile]',
  values: ['predictive_analytics'],
  burst: 10,
  steady: 150,
};
/** Whether lists and segments share this one is not documented: one bucket for both is the safe reading. */
export const memberCount = (resource: 'list' | 'segment'): ExtraBudget => ({
  name: 'profile_count',
  from: ALWAYS,
  query: `additional-fields[${resource}]`,
  values: ['profile_count'],
  burst: 1,
  steady: 15,
});
export const PROFILE_INCLUDE: ExtraBudget = {
  name: 'profile_include',
  from: '2024-10-15',
  query: 'include',
  values: ['list', 'lists', 'segment', 'segments'],
  burst: 1,
  steady: 15,
};

export const pageFrom = (parameterFrom: string, size: number): PageSize => ({
  parameterFrom,
  max: [{ from: parameterFrom, size }],
});
export const PAGE_OF_100 = pageFrom(ALWAYS, 100);
/** Ids alone: 1,000 a page before 2024-10-15. */
export const MEMBER_IDS: PageSize = {
  parameterFrom: ALWAYS,
  max: [
    { from: ALWAYS, size: 1000 },
    { from: '2024-10-15', size: 100 },
  ],
};
