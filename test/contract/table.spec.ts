import { operations } from '../../src/klaviyo/operations';
import { sentences } from './checks/difference';
import { tableDifferences, uncheckedRevisions } from './checks/table';
import { report, withFiles } from './report';

const ALL = Object.values(operations);
/** Which revisions are alive decides what a call goes out under: today, and once 2025-01-15 has retired. */
const TIMES = ['2026-11-22T12:00:00Z', '2027-01-15T00:00:00Z'];

withFiles('the table of operations', (specifications) => {
  it('is held against a file of every revision that may be configured', () => {
    expect(sentences(uncheckedRevisions(specifications))).toEqual([]);
  });

  describe.each(specifications.map((specification) => [specification.revision, specification] as const))(
    'against %s',
    (revision, specification) => {
      it.each(TIMES)('has every operation there or under a living revision, as the file says, at %s', (now) => {
        expect(sentences(tableDifferences(ALL, specifications, specification, Date.parse(now)))).toEqual([]);
      });

      it('is worth the comparison: most operations are in the file, with scopes, limits and answers', () => {
        const held = ALL.flatMap(({ method, path }) => specification.operation(method, path) ?? []);
        report(`${revision}: ${held.length} of ${ALL.length} operations of the table are in the file`);
        expect(held.length).toBeGreaterThan(ALL.length / 2);
        for (const { scopes, limits, answers } of held) {
          expect(scopes).not.toEqual([]);
          expect([limits.burst, limits.steady]).not.toContain(undefined);
          expect([...answers.keys()].some((status) => status.startsWith('2'))).toBe(true);
        }
      });
    },
  );
});
