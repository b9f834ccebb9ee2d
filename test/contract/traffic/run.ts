import { servedAs } from '../../../src/klaviyo/revisions';
import { startSandbox, type SandboxAccountOptions } from '../../support/sandbox';
import type { Exchange } from './exchange';
import type { Reads } from './reads';
import { Stage } from './stage';
import { tellStory } from './story';
import { sweep, SWEEP_HEADER } from './sweep';

/** One way in which the service may meet Klaviyo. */
export interface Setting {
  name: string;
  /** `KLAVIYO_API_REVISION`. */
  base: string;
  /** Epoch milliseconds that every clock shows. */
  now: number;
  account?: SandboxAccountOptions;
  /** Whether the sandbox's other answers are read too. */
  swept?: boolean;
}

/** All that went over the line in one setting. */
export interface Traffic {
  setting: Setting;
  exchanges: readonly Exchange[];
  /** Of them, those that the service itself made. */
  own: readonly Exchange[];
  reads: Reads;
  called: ReadonlySet<string>;
}

/** The day on which these facts were gathered. */
export const TODAY = Date.parse('2026-11-22T12:00:00Z');
const AFTER_THE_NEXT_RETIREMENT = Date.parse('2027-02-01T12:00:00Z');

/** Every revision that may be configured, today; the oldest also as if it were still honoured, and after the next one has retired. */
export function settingsOf(revisions: readonly string[]): Setting[] {
  const [oldest = ''] = revisions;
  return [
    ...revisions.map((base) => ({ name: base, base, now: TODAY })),
    {
      name: `${oldest}, honoured as it was`,
      base: oldest,
      now: TODAY,
      account: { revisions: { timeMachine: true } },
    },
    { name: `${oldest}, once 2025-01-15 has retired`, base: oldest, now: AFTER_THE_NEXT_RETIREMENT, swept: false },
  ];
}

/** Plays the story in every setting, side by side: most of the time goes by in waiting for quota. */
export async function collect(settings: readonly Setting[]): Promise<Traffic[]> {
  const times = [...new Set(settings.map(({ now }) => now))];
  const sandboxes = new Map(await Promise.all(times.map(async (now) => [now, await sandboxAt(now)] as const)));
  const stages: [Setting, Stage][] = [];
  try {
    // One after the other: a service reads the process's variables while it is made.
    for (const setting of settings) {
      const sandbox = sandboxes.get(setting.now);
      if (sandbox) stages.push([setting, await Stage.set(sandbox, setting.base, setting.now, setting.account)]);
    }
    return await Promise.all(stages.map(([setting, stage]) => play(setting, stage)));
  } finally {
    await Promise.all(stages.map(([, stage]) => stage.stop()));
    await Promise.all([...sandboxes.values()].map((sandbox) => sandbox.stop()));
  }
}

async function sandboxAt(now: number) {
  const sandbox = await startSandbox();
  await sandbox.clock({ now });
  return sandbox;
}

async function play(setting: Setting, stage: Stage): Promise<Traffic> {
  const { base, now, account, swept = true } = setting;
  const honoured = account?.revisions?.timeMachine === true;
  await Promise.all([tellStory(stage), swept ? sweep(stage, honoured ? base : servedAs(base, now)) : undefined]);
  const { reads, called } = stage;
  const exchanges = await stage.exchanges();
  const own = exchanges.filter(({ headers }) => headers[SWEEP_HEADER] === undefined);
  return { setting, exchanges, own, reads, called };
}
