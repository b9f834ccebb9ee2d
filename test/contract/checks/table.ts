import { REVISIONS } from '../../../src/config/env';
import { KlaviyoAccess } from '../../../src/klaviyo/klaviyo-access';
import { limitsOf, type Operation } from '../../../src/klaviyo/operation';
import { prepare } from '../../../src/klaviyo/prepared-request';
import { retiresAt, revisionToSend } from '../../../src/klaviyo/revisions';
import type { FileOperation, Specification } from '../openapi/specification';
import type { Difference } from './difference';

const TABLE = 'src/klaviyo/operations.ts';
const FIGURES = 'src/klaviyo/tiers.ts';

type Tell = (what: string, touch?: string) => void;

/**
 * Holds the table of operations against one file: each is there with that method, path, scopes, quota and largest
 * page, or is sent under a checked revision that has it.
 * @param now epoch milliseconds: which revisions are alive
 */
export function tableDifferences(
  operations: readonly Operation[],
  specifications: readonly Specification[],
  specification: Specification,
  now: number,
): Difference[] {
  const { revision } = specification;
  return operations.flatMap((operation) => {
    const differences: Difference[] = [];
    const where = `${operation.method} ${operation.path} (${operation.name})`;
    const tell: Tell = (what, touch = TABLE) => differences.push({ revision, where, what, touch });
    const held = specification.operation(operation.method, operation.path);
    if (!held) compareAbsent(operation, specifications, revision, now, tell);
    else {
      if (operation.since > revision)
        tell(`the file has it already, but our table says that it came with ${operation.since}`);
      comparePath(operation, held, revision, tell);
      compareScopes(operation, held, tell);
      compareLimits(operation, held, revision, tell);
      compareBudgets(operation, held, specification, tell);
      comparePageSize(operation, held, revision, tell);
    }
    return differences;
  });
}

/** Every revision that may be configured needs a file, else it is not checked. */
export function uncheckedRevisions(specifications: readonly Specification[]): Difference[] {
  const files = new Set(specifications.map(({ revision }) => revision));
  return REVISIONS.filter((revision) => !files.has(revision)).map((revision) => ({
    revision,
    where: 'KLAVIYO_API_REVISION',
    what: 'the service offers this revision, and the folder holds no file of it',
    touch: 'src/config/env.ts, or put the file into the folder',
  }));
}

function compareAbsent(
  operation: Operation,
  specifications: readonly Specification[],
  revision: string,
  now: number,
  tell: Tell,
): void {
  if (operation.since <= revision) {
    const method = specifications.some((other) => other.operation(operation.method, operation.path))
      ? 'the file has no such method and path'
      : 'no file has such a method and path';
    tell(`${method}, though our table says that it is there since ${operation.since}`);
    return;
  }
  const sent = revisionToSend(revision, operation.since, now);
  const stand = specifications.find((other) => other.revision === sent);
  if (!stand) tell(`it goes out under ${sent} instead, of which the folder holds no file`, 'src/config/env.ts');
  else if (!stand.operation(operation.method, operation.path))
    tell(`it goes out under ${sent} instead, which does not have it either`);
  else if (now >= retiresAt(sent) && specifications.some((other) => isBetter(other, operation, now)))
    tell(`it goes out under ${sent}, which is retired, while a living revision has it`, 'src/klaviyo/revisions.ts');
}

function isBetter({ revision }: Specification, operation: Operation, now: number): boolean {
  const offered = (REVISIONS as readonly string[]).includes(revision);
  return offered && now < retiresAt(revision) && operation.since <= revision;
}

/** The path as the client spells it under that revision; placeholders may have other names. */
function comparePath(operation: Operation, held: FileOperation, revision: string, tell: Tell): void {
  const values = Object.fromEntries([...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [name, 'ID']));
  const { url } = prepare(
    new KlaviyoAccess({ userId: 1, connectionId: 'c', accountId: 'a', privateKey: 'pk_compatibility' }),
    operation,
    { path: values },
    {
      baseUrl: 'https://a.klaviyo.com',
      revision: { sent: revision, served: revision },
      deadline: 0,
      maxRetries: 0,
      timeoutMs: 0,
    },
  );
  const theirs = held.path.replace(/\{\w+\}/g, 'ID');
  if (url.pathname !== theirs)
    tell(`the path is spelled ${theirs}, we would call ${url.pathname}`, 'src/klaviyo/prepared-request.ts');
}

/** Scopes of lists lost their singular name with 2023-12-15; a key of today knows the new one. */
function compareScopes(operation: Operation, held: FileOperation, tell: Tell): void {
  const theirs = held.scopes.map((scope) => scope.replace(/^list:/, 'lists:')).toSorted();
  const ours = operation.scopes.toSorted();
  if (theirs.join() !== ours.join()) tell(`the scopes are ${theirs.join(' ')}, our table says ${ours.join(' ')}`);
}

function compareLimits(operation: Operation, held: FileOperation, revision: string, tell: Tell): void {
  const ours = limitsOf(operation, revision);
  const pairs = [
    ['a second', held.limits.burst, ours.burst],
    ['a minute', held.limits.steady, ours.steady],
    ['a day', held.limits.daily, ours.daily],
  ] as const;
  for (const [window, theirs, own] of pairs)
    if (theirs !== own) tell(`the limit ${window} is ${said(theirs)}, ours ${said(own)}`, FIGURES);
}

/**
 * Klaviyo counts second budgets across endpoints, and names them on some only: ours may name one where the file does
 * not, as long as the file has that budget somewhere; where the file names one that the query can cost, so must ours.
 */
function compareBudgets(operation: Operation, held: FileOperation, specification: Specification, tell: Tell): void {
  const { revision } = specification;
  const ours = (operation.extraBudgets ?? []).filter(({ from }) => from <= revision);
  for (const { query, value, burst, steady } of held.budgets) {
    if (!held.query.has(query)) continue;
    const own = ours.find((budget) => budget.query === query && budget.values.includes(value));
    if (!own) tell(`${query}=${value} costs a second budget of ${burst}/s and ${steady}/m, unknown to our table`);
    else if (own.burst !== burst || own.steady !== steady)
      tell(
        `${query}=${value} allows ${burst}/s and ${steady}/m, our table says ${own.burst} and ${own.steady}`,
        FIGURES,
      );
  }
  const everywhere = specification.budgets();
  for (const budget of ours)
    if (!everywhere.some(({ query, value }) => query === budget.query && budget.values.includes(value)))
      tell(`the file names no budget for ${budget.query}=${budget.values.join('|')}, our table does`, FIGURES);
}

function comparePageSize(operation: Operation, held: FileOperation, revision: string, tell: Tell): void {
  const parameter = held.query.get('page[size]');
  const { pageSize } = operation;
  const ours =
    pageSize && revision >= pageSize.parameterFrom
      ? pageSize.max.findLast(({ from }) => from <= revision)?.size
      : undefined;
  const theirs = parameter?.schema['maximum'] as number | undefined;
  if (theirs === ours) return;
  if (theirs === undefined) tell(`it takes no page[size], and our table sends ${said(ours)}`, FIGURES);
  else if (ours === undefined) tell(`it takes a page[size] up to ${theirs}, and our table sends none`);
  else tell(`page[size] goes up to ${theirs}, our table says ${ours}`, FIGURES);
}

function said(amount: number | undefined): string {
  return amount === undefined ? 'none' : String(amount);
}
