import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { operations } from '../../../src/klaviyo/operations';

const ROOT = join(process.cwd(), 'src');
const TABLE = 'src/klaviyo/operations.ts';

/** The files of ours that name an operation of the table, by its name there. */
export function callersByOperation(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const name of readdirSync(ROOT, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const text = readFileSync(join(ROOT, name), 'utf8');
    for (const operation of new Set([...text.matchAll(/\boperations\.(\w+)/g)].map(([, word = '']) => word)))
      found.set(operation, [...(found.get(operation) ?? []), `src/${name}`]);
  }
  return found;
}

/** The file or files to touch where a call of an endpoint is wrong; the table itself where nobody calls it. */
export function touchFor(callers: ReadonlyMap<string, readonly string[]>, method: string, path: string): string {
  const bare = (text: string) => text.replace(/\/$/, '').replace(/\{\w+\}/g, '{}');
  const names = Object.values(operations)
    .filter((operation) => operation.method === method && bare(operation.path) === bare(path))
    .flatMap(({ name }) => callers.get(name) ?? []);
  return names.length === 0 ? TABLE : names.join(' or ');
}
