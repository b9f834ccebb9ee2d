/**
 * `npm run test:compat`: holds the service against Klaviyo's OpenAPI files and prints the report.
 * `npm run test:compat -- --from 2023-10-15 --to 2026-07-15`: prints two revisions side by side instead.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { operations } from '../../src/klaviyo/operations';
import { sideBySide } from './compare/side-by-side';
import { openFolder } from './openapi/folder';
import { REPORT_FILE } from './report';

const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];

function main(): number {
  const { values } = parseArgs({ options: { from: { type: 'string' }, to: { type: 'string' } } });
  const { from, to } = values;
  if (from === undefined && to === undefined) return check();
  if (from === undefined || to === undefined) return fail('--from and --to are given together');
  return compare(from, to);
}

/** Runs the suite, then prints what it found in all. */
function check(): number {
  const folder = mkdtempSync(join(tmpdir(), 'compat-'));
  const report = join(folder, 'report.txt');
  try {
    const { status } = spawnSync(process.execPath, [...JEST, 'test/contract'], {
      stdio: 'inherit',
      env: { ...process.env, [REPORT_FILE]: report },
    });
    const lines = linesOf(report);
    const skipped = lines.some((line) => line.startsWith('skipped'));
    const verdict = skipped ? 'Nothing was compared.' : 'No difference.';
    process.stdout.write(`\nCompatibility with Klaviyo\n${lines.join('\n')}\n`);
    process.stdout.write(
      `${status === 0 ? verdict : 'Not compatible, or not to be checked: see the sentences above.'}\n`,
    );
    return status ?? 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the specs wrote, in an order of its own: they end as they please. */
function linesOf(report: string): string[] {
  try {
    return readFileSync(report, 'utf8').trim().split('\n').toSorted();
  } catch {
    return ['Nothing was checked.'];
  }
}

function compare(from: string, to: string): number {
  const folder = openFolder();
  if ('absent' in folder) return fail(folder.absent);
  const { specifications } = folder;
  const [before, after] = [from, to].map((name) => specifications.find(({ revision }) => revision === name));
  if (!before || !after)
    return fail(`the folder holds ${specifications.map(({ revision }) => revision).join(', ')} only`);
  const changes = sideBySide(Object.values(operations), before, after);
  process.stdout.write(
    `Klaviyo ${from} and ${to} side by side: the ${changes.length} operations of src/klaviyo/operations.ts\n`,
  );
  for (const { operation, lines } of changes) {
    process.stdout.write(`\n${operation.name}  ${operation.method} ${operation.path}\n`);
    process.stdout.write(lines.length === 0 ? '  unchanged\n' : lines.map((line) => `  ${line}\n`).join(''));
  }
  return 0;
}

function fail(why: string): number {
  process.stderr.write(`test:compat: ${why}\n`);
  return 2;
}

process.exitCode = main();
