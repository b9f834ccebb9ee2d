import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { LauncherError } from './launcher-error.ts';

/** What the build is made of. */
const SOURCES = ['src', 'migrations', 'package.json', 'nest-cli.json', 'tsconfig.json', 'tsconfig.build.json'];
const SETTLE_MS = 200;

/** The service's entry in a build. */
export function entryOf(project: string): string {
  return join(project, 'dist', 'src', 'main.js');
}

/**
 * Builds unless the build is newer than its sources. A folder that cannot be written runs the build that it holds.
 *
 * @throws LauncherError when there is no usable build
 */
export async function ensureBuild(project: string, signal: AbortSignal, log: (line: string) => void): Promise<void> {
  if (isFresh(project)) return;
  if (!mayWrite(project)) {
    if (!existsSync(entryOf(project))) {
      throw new LauncherError(
        `${project} cannot be written and holds no build: run npm run build as somebody who may write there, or copy the project elsewhere.`,
      );
    }
    log(`${project} cannot be written: the build that it holds is run as it is.`);
    return;
  }
  if (!(await build(project, signal))) {
    signal.throwIfAborted();
    throw new LauncherError('The build failed: put right what it says above, then start again.');
  }
}

/** Runs `nest build`; whether it succeeded. */
export function build(project: string, signal: AbortSignal): Promise<boolean> {
  const nest = join(project, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  if (!existsSync(nest)) {
    throw new LauncherError(
      `There is no build in ${join(project, 'dist')} and nothing to build with: run npm ci first.`,
    );
  }
  return new Promise((done) => {
    const child: ChildProcess = spawn(process.execPath, [nest, 'build'], { cwd: project, stdio: 'inherit', signal });
    child.once('error', () => done(false));
    child.once('close', (code) => done(code === 0));
  });
}

/**
 * Calls back once a burst of changes to the sources has settled. Every folder is watched by itself: Node's recursive
 * watch loses a file that an editor replaces instead of writing into it.
 *
 * @returns what ends it
 */
export function watchSources(project: string, changed: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const watchers = new Map<string, FSWatcher>();
  const follow = (folder: string): void => {
    if (!watchers.has(folder)) {
      const watcher = watch(folder, (_event, name) => {
        follow(folder);
        if (name !== null && !/^[^.].*\.(ts|json)$/.test(name)) return;
        clearTimeout(timer);
        timer = setTimeout(changed, SETTLE_MS);
      });
      const drop = (): void => {
        watcher.close();
        watchers.delete(folder);
      };
      watcher.on('error', drop);
      watchers.set(folder, watcher);
    }
    if (!existsSync(folder)) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) follow(join(folder, entry.name));
    }
  };
  for (const folder of ['src', 'migrations']) follow(join(project, folder));
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers.values()) watcher.close();
  };
}

function isFresh(project: string): boolean {
  const built = statSync(entryOf(project), { throwIfNoEntry: false })?.mtimeMs;
  return built !== undefined && SOURCES.every((path) => newest(join(project, path)) <= built);
}

/** The youngest change below a path; folders count too, since their time tells of files that were removed. */
function newest(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return 0;
  if (!found.isDirectory()) return found.mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), found.mtimeMs);
}

function mayWrite(project: string): boolean {
  const dist = join(project, 'dist');
  try {
    accessSync(project, constants.W_OK);
    if (existsSync(dist)) accessSync(dist, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
