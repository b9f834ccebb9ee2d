/** What the client must know of one Klaviyo endpoint, and how its figures depend on the revision that answers. */
export interface Operation {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Without the trailing slash that revisions before 2024-10-15 spell; `{id}` is filled from `KlaviyoCall.path`. */
  readonly path: string;
  /** The first revision that has it. */
  readonly since: string;
  /** By revision, oldest first: the last entry whose `from` is not younger than the serving revision counts. */
  readonly limits: readonly Limits[];
  /** Stricter second budgets that some query values cost, counted across endpoints on top of its own. */
  readonly extraBudgets?: readonly ExtraBudget[];
  readonly pageSize?: PageSize;
  /** All that a key needs, under their names since 2023-12-15 (`lists:*`; older keys say `list:*`). */
  readonly scopes: readonly string[];
  /** What a 404 means; without it Klaviyo does not know the endpoint itself, or refuses a reference in the body. */
  readonly resource?: 'PROFILE' | 'LIST' | 'SEGMENT' | 'CAMPAIGN' | 'EVENT' | 'WEBHOOK' | 'IMPORT';
  /** May it arrive twice and change nothing more? Then it is sent again after a lost answer or a 5xx. */
  readonly repeatable: boolean | ((body: unknown) => boolean);
}

/** Calls that Klaviyo allows one account on one endpoint: in a second, a minute, a day. */
export interface Limits {
  readonly from: string;
  readonly burst: number;
  readonly steady: number;
  readonly daily?: number;
}

export interface ExtraBudget {
  /** The name of the shared bucket. */
  readonly name: string;
  readonly from: string;
  readonly query: string;
  /** Any of these words in the comma-separated value costs a slot of the budget. */
  readonly values: readonly string[];
  readonly burst: number;
  readonly steady: number;
}

export interface PageSize {
  /** The first revision whose endpoint takes `page[size]`; sent to an older one, Klaviyo answers 400. */
  readonly parameterFrom: string;
  /** Largest size by revision, oldest first. */
  readonly max: readonly { readonly from: string; readonly size: number }[];
}

/** The first of all revisions: figures that never changed begin here. */
export const ALWAYS = '2022-10-17';

/** The limits in force under the revision that answers. */
export function limitsOf(operation: Operation, served: string): Limits {
  const limits = operation.limits.findLast((entry) => entry.from <= served) ?? operation.limits[0];
  if (!limits) throw new Error(`${operation.name} has no limits`);
  return limits;
}

/** What to send as `page[size]`: the wanted size within the largest, or undefined where the revision has no such parameter. */
export function pageSizeOf(operation: Operation, served: string, wanted?: number): number | undefined {
  const { pageSize } = operation;
  if (!pageSize || served < pageSize.parameterFrom) return undefined;
  const largest = pageSize.max.findLast((entry) => entry.from <= served)?.size;
  if (largest === undefined) return undefined;
  return wanted === undefined ? largest : Math.max(1, Math.min(largest, Math.floor(wanted)));
}

export function isRepeatable(operation: Operation, body: unknown): boolean {
  return typeof operation.repeatable === 'function' ? operation.repeatable(body) : operation.repeatable;
}
