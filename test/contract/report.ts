import { appendFileSync } from 'node:fs';
import { openFolder } from './openapi/folder';
import type { Specification } from './openapi/specification';

/** Names the file that `npm run test:compat` reads its report from. */
export const REPORT_FILE = 'COMPAT_REPORT';

/** A line for the report of `npm run test:compat`; nothing where nobody asked for one. */
export function report(line: string): void {
  const file = process.env[REPORT_FILE];
  if (file !== undefined) appendFileSync(file, `${line}\n`);
}

/**
 * What needs Klaviyo's files. In a clone without them there is one test that says what was left out and why: the
 * files are Klaviyo's and not part of this repository.
 */
export function withFiles(title: string, define: (specifications: readonly Specification[]) => void): void {
  const folder = openFolder();
  describe(title, () => {
    if ('absent' in folder) {
      it('is skipped: the files of Klaviyo are not there', () => {
        process.stdout.write(`skipped: ${title}: ${folder.absent}\n`);
        report(`skipped: ${title}: ${folder.absent}`);
        expect(folder.absent).toContain('KLAVIYO_OPENAPI_DIR');
      });
    } else define(folder.specifications);
  });
}
