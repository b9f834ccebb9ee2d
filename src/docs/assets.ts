import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { REFERENCE_START } from './pages';

export interface Asset {
  type: string;
  body: Buffer | string;
}

/** The files of Swagger UI that its page loads, and nothing else of its folder. */
const SWAGGER_FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
};

/**
 * A file that the reference page loads; undefined for any other name. Swagger UI comes with @nestjs/swagger and is
 * served from there: the page works without the internet, and tells nobody who reads it.
 */
export async function assetNamed(name: string): Promise<Asset | undefined> {
  if (name === 'start.js') return { type: 'text/javascript; charset=utf-8', body: REFERENCE_START };
  const type = Object.hasOwn(SWAGGER_FILES, name) ? SWAGGER_FILES[name] : undefined;
  if (type === undefined) return undefined;
  const swagger = createRequire(__filename).resolve('@nestjs/swagger');
  return { type, body: await readFile(createRequire(swagger).resolve(`swagger-ui-dist/${name}`)) };
}
