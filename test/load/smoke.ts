// `npm run bench:smoke`: every benchmark at its smallest. It fails when one does not work, never because one is slow.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { round } from './figures.ts';
import { builtEntry, project, runMain, seedOfRun } from './stack.ts';

const PROGRAMS = [
  'bench-faults',
  'run',
  'bench-client',
  'bench-gateway',
  'bench-start',
  'bench-quota',
  'bench-sync',
  'bench-sync-latency',
  'bench-sync-large',
  'bench-sync-tenants',
  'bench-reads',
  'bench-webhooks',
];
/** So small that nothing is measured; what is set outside goes before. */
const SMALLEST = {
  BENCH_RUNS: '1',
  BENCH_SECONDS: '0.1',
  BENCH_IDLE_SECONDS: '0.1',
  BENCH_RETRY_AFTER: '1',
  BENCH_TIMEOUT_MS: '400',
  LOAD_SECONDS: '0.4',
  LOAD_CONNECTIONS: '4',
  BENCH_PROFILES: '300',
  BENCH_SMALL_PROFILES: '200',
  BENCH_CHANGES: '5',
  BENCH_EVENTS: '300',
  BENCH_ACCOUNTS: '4',
  BENCH_LATENCY_MS: '5',
  BENCH_REVOKED_AFTER_MS: '1',
  BENCH_REPEATS: '2',
  BENCH_FORWARD_EVENTS: '300',
};
/** A benchmark that is still running then hangs. */
const LIMIT_MS = 120_000;

interface Outcome {
  program: string;
  seconds: number;
  ended: string;
  output: string;
}

async function play(program: string, seed: number): Promise<Outcome> {
  const begin = performance.now();
  const child = spawn(process.execPath, [join(project, 'test/load', `${program}.ts`)], {
    env: { ...SMALLEST, ...process.env, SEED: String(seed) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { program, seconds: round((performance.now() - begin) / 1000, 1), ended: String(code ?? signal), output };
}

async function main(): Promise<void> {
  builtEntry();
  const seed = seedOfRun();
  const outcomes: Outcome[] = [];
  const waiting = [...PROGRAMS];
  // Two at a time: a good part of each is waiting for something to start.
  const line = async (): Promise<void> => {
    for (let program = waiting.shift(); program !== undefined; program = waiting.shift())
      outcomes.push(await play(program, seed));
  };
  await Promise.all([line(), line()]);
  console.table(outcomes.map(({ program, seconds, ended }) => ({ program, seconds, 'exit status': ended })));
  const failed = outcomes.filter(({ ended }) => ended !== '0');
  for (const { program, output } of failed) console.error(`${program}:\n${output}`);
  if (failed.length > 0) throw new Error(`Failed: ${failed.map(({ program }) => program).join(', ')}`);
}

runMain(main);
