import type { Sandbox } from './sandbox.ts';
import { privateKey } from './sandbox.ts';

/** The demo's account: the same rows, id and key whenever the seed is the same. */
export function createDemo(sandbox: Sandbox): { accountId: string; publicKey: string; privateKey: string } {
  const key = privateKey(sandbox.seed, 'pk_demo_', 26);
  const account = sandbox.create({
    id: 'DeMo01',
    seed: sandbox.seed,
    keys: [{ key }],
    organizationName: 'Maison Démo',
    profiles: 2000,
    lists: 27,
    segments: 12,
    campaigns: 60,
    events: 20_000,
    currency: 'EUR',
    timezone: 'Europe/Paris',
  });
  account.asyncDelayMs = 1000;
  return { accountId: account.id, publicKey: account.id, privateKey: key };
}
