import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

let known: string | undefined;

/** The service's version: that of the nearest package.json above this file, wherever the build put it. */
export function serviceVersion(): string {
  known ??= readVersion(__dirname);
  return known;
}

function readVersion(folder: string): string {
  const file = join(folder, 'package.json');
  if (existsSync(file)) {
    const version = (JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }).version;
    if (typeof version === 'string') return version;
  }
  const above = dirname(folder);
  return above === folder ? 'unknown' : readVersion(above);
}
