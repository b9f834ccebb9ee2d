// `npm run bench:webhooks`: what Klaviyo delivers, signed as Klaviyo signs it, to one process of the service. PostgreSQL,
// service, sender and sandbox share the machine. All parts, or those that are named: `node test/load/bench-webhooks.ts bad`.
import { Client } from 'pg';
import { runMain, seedOfRun, startBackends } from './stack.ts';
import { badInputs } from './webhook-bad.ts';
import { deliveries } from './webhook-deliveries.ts';
import { duringSync } from './webhook-during-sync.ts';
import { forwarding } from './webhook-forwarding.ts';
import type { Ground } from './webhook-part.ts';

const PARTS: Readonly<Record<string, (ground: Ground) => Promise<void>>> = {
  deliveries,
  bad: badInputs,
  forward: forwarding,
  sync: duringSync,
};
/** Each address that a delivery claims to come from is believed: refusals are counted by it. */
const ENV = { PUBLIC_BASE_URL: 'https://hooks.example.com', SYNC_INTERVAL_MINUTES: '0', TRUST_PROXY: '1' };

async function main(): Promise<void> {
  const named = process.argv.slice(2);
  const parts = (named.length > 0 ? named : Object.keys(PARTS)).map((name) => {
    const part = PARTS[name];
    if (!part) throw new Error(`There is no part ${name}: ${Object.keys(PARTS).join(', ')}`);
    return part;
  });
  const backends = await startBackends({ seed: seedOfRun(), env: ENV });
  const database = new Client({ connectionString: backends.databaseUrl });
  try {
    await database.connect();
    for (const part of parts) await part({ backends, database });
  } finally {
    await database.end();
    await backends.stop();
  }
}

runMain(main);
