import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isRaw } from './schema';
import { Specification } from './specification';

/** Where the files are unless `KLAVIYO_OPENAPI_DIR` says otherwise: beside the project. */
const USUAL = '../shared/klaviyo/openapi';

/** Klaviyo's OpenAPI files, one a revision, oldest first; or why there are none. */
export type Folder = { specifications: readonly Specification[] } | { absent: string };

/** Reads every `*.json` of the folder. @throws Error for a file that is none of Klaviyo's, or two of one revision */
export function openFolder(directory = process.env['KLAVIYO_OPENAPI_DIR'] ?? USUAL): Folder {
  const path = resolve(process.cwd(), directory);
  if (!existsSync(path))
    return {
      absent:
        'the folder with Klaviyo’s OpenAPI files (KLAVIYO_OPENAPI_DIR) is not there; it holds one JSON file a revision, from github.com/klaviyo/openapi',
    };
  const names = readdirSync(path).filter((name) => name.endsWith('.json'));
  if (names.length === 0) return { absent: 'the folder of KLAVIYO_OPENAPI_DIR holds no *.json' };
  const found = names.map((name) => readSpecification(join(path, name), name));
  for (const { revision } of found)
    if (found.filter((other) => other.revision === revision).length > 1)
      throw new Error(`KLAVIYO_OPENAPI_DIR holds the revision ${revision} twice`);
  return { specifications: found.sort((a, b) => (a.revision < b.revision ? -1 : 1)) };
}

/** One file; its revision from `info.version`, else from its name. */
function readSpecification(path: string, name: string): Specification {
  const document: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (!isRaw(document) || !isRaw(document['paths']))
    throw new Error(`${name} in KLAVIYO_OPENAPI_DIR is no OpenAPI file`);
  const info = isRaw(document['info']) ? document['info'] : {};
  const revision = [info['version'], name.replace(/\.json$/, '')].find(
    (text) => typeof text === 'string' && /^\d{4}-\d{2}-\d{2}(\.\w+)?$/.test(text),
  );
  if (typeof revision !== 'string') throw new Error(`${name} in KLAVIYO_OPENAPI_DIR names no revision`);
  return new Specification(revision, document);
}
