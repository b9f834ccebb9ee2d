import { Client } from 'pg';

/** The seed of a drill is another one each time, and can be given. */
export const SEED = Number(process.env['CRASH_SEED'] ?? Date.now() % 1_000_000);
/** Leases of dead processes run out by themselves, in up to half a minute: waited for in earnest, or time is moved. */
export const PATIENT = process.env['CRASH_PATIENT'] === 'true';

/** Numbers that are the same for the same seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Runs a statement on a line of its own, whatever became of the lines before. */
export async function sql<T extends object>(databaseUrl: string, text: string, params: unknown[] = []): Promise<T[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query<T>(text, params)).rows;
  } finally {
    await client.end();
  }
}
