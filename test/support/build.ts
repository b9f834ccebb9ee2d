import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const ROOT = process.cwd();
/** Beside node_modules' packages, so that what is built finds them, and away from `dist/`, which may be running. */
const CACHE = join(ROOT, 'node_modules', '.cache');

/**
 * Builds the service into a folder of its own, so that specs that build at the same time do not meet.
 * @returns the program to start
 */
export async function build(name: string): Promise<string> {
  const folder = join(CACHE, name);
  mkdirSync(folder, { recursive: true });
  const tsconfig = join(folder, 'tsconfig.json');
  const compilerOptions = { rootDir: ROOT, outDir: join(folder, 'dist'), incremental: false, sourceMap: false };
  writeFileSync(
    tsconfig,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.build.json'),
      compilerOptions: { ...compilerOptions, tsBuildInfoFile: null },
      include: [join(ROOT, 'src'), join(ROOT, 'migrations')],
    }),
  );
  const nest = join(ROOT, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  const child = spawn(process.execPath, [nest, 'build', '--path', relative(ROOT, tsconfig)], { cwd: ROOT });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`nest build failed:\n${said}`);
  return join(folder, 'dist', 'src', 'main.js');
}
