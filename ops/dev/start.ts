import './node-version.ts';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { entryOf } from './build.ts';
import { isConvenient, loadEnvFile } from './environment.ts';
import type { Launcher } from './launcher.ts';
import { codeOf, LauncherError } from './launcher-error.ts';
import { commandOf, identityOf, isAlive, parentOf } from './processes.ts';

/** `npm start` and, with `--watch`, `npm run dev`. */

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Ctrl-C arrives twice, from the terminal and through npm: only a later one means "at once". */
const IMPATIENCE_MS = 2_000;
const PARENT_POLL_MS = 1_000;

async function main(): Promise<number> {
  if (isConvenient()) loadEnvFile(project);
  if (!isConvenient()) return runBare();
  const launcher = await makeLauncher();
  stopOnSignals(launcher);
  stopWithNpm(launcher);
  return launcher.run();
}

/** Loaded only when it is needed: it brings packages, which are there after `npm ci` only. */
async function makeLauncher(): Promise<Launcher> {
  try {
    const loaded = await import('./launcher.ts');
    return new loaded.Launcher(project, { watch: process.argv.includes('--watch') });
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new LauncherError('The packages are not installed: run npm ci first.');
  }
}

/** Staging and production: the built service in this very process's place, with the environment as it is. */
function runBare(): never {
  const entry = entryOf(project);
  if (!existsSync(entry)) throw new LauncherError(`There is no build in ${dirname(entry)}: run npm run build first.`);
  process.chdir(project);
  if (!process.execve) throw new LauncherError('On this system, run the built service with npm run start:prod.');
  return process.execve(process.execPath, [process.execPath, entry], process.env);
}

function stopOnSignals(launcher: Launcher): void {
  let first: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (first === undefined) {
        first = Date.now();
        launcher.stop();
      } else if (Date.now() - first > IMPATIENCE_MS) launcher.kill();
    });
  }
}

/** When npm itself is killed (-9), no signal tells us: we look whether it still lives. */
function stopWithNpm(launcher: Launcher): void {
  if (process.env['npm_lifecycle_event'] === undefined) return;
  let above = process.ppid;
  while (/^(\/\S*\/)?(sh|bash|dash|zsh|ash) -c /.test(commandOf(above))) above = parentOf(above);
  const npm = identityOf(above);
  if (npm === undefined || above === 1) return;
  setInterval(() => {
    if (!isAlive(npm)) launcher.stop();
  }, PARENT_POLL_MS).unref();
}

process.stdout.on('error', () => undefined); // A closed terminal must not keep us from stopping in order.
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(
      `${error instanceof LauncherError ? error.message : String(error instanceof Error ? error.stack : error)}\n`,
    );
    process.exit(1);
  },
);
