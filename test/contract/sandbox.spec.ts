import { OPERATIONS } from '../sandbox/operations.ts';
import { sentences } from './checks/difference';
import { sandboxDifferences } from './checks/sandbox';
import { report, withFiles } from './report';

withFiles('the sandbox', (specifications) => {
  it.each(specifications.map((specification) => [specification.revision, specification] as const))(
    'takes nothing that %s refuses, and knows nothing that it does not',
    (revision, specification) => {
      const played = OPERATIONS.filter(({ since }) => since <= revision);
      const bodies = played.filter(({ body }) => body !== undefined);
      report(`${revision}: ${played.length} operations of the sandbox checked, ${bodies.length} of them with a body`);
      expect(bodies.length).toBeGreaterThan(10);
      expect(sentences(sandboxDifferences(OPERATIONS, specification))).toEqual([]);
    },
  );
});
