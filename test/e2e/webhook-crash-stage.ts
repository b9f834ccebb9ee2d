import type { Sandbox, SandboxAccount } from '../support/sandbox';
import type { ServiceProcess } from '../support/service';
import { API } from '../support/walk';
import { headerDate, sign } from './webhook-receiver-stage';

/** What Klaviyo knows of a webhook that it delivers to. */
export interface KlaviyoHook {
  klaviyoId: string;
  secret: string;
  accountId: string;
}

export interface SignedDelivery {
  body: string;
  headers: Record<string, string>;
}

/** Connects the account for the user and makes a webhook as a user makes it; the sandbox tells the secret that it was given. */
export async function hookOf(
  service: ServiceProcess,
  userId: number,
  sandbox: Sandbox,
  account: SandboxAccount,
): Promise<KlaviyoHook> {
  await service.connect(userId, account);
  const wish = { userId, name: 'h', topics: ['event:klaviyo.opened_email'], delivery: 'push' };
  const made = await service.post('/webhooks', wish);
  expect(made.status).toBe(201);
  const { webhooks } = await sandbox.control<{ webhooks: { id: string; secret: string }[] }>(
    'GET',
    `/accounts/${account.id}/webhooks`,
  );
  const [{ id: klaviyoId, secret } = { id: '', secret: '' }] = webhooks;
  return { klaviyoId, secret, accountId: account.id };
}

export function signedDelivery(hook: KlaviyoHook, events: readonly unknown[]): SignedDelivery {
  const { klaviyoId, accountId, secret } = hook;
  const meta = {
    timestamp: new Date().toISOString(),
    klaviyo_webhook_id: klaviyoId,
    klaviyo_account_id: accountId,
  };
  const body = JSON.stringify({ data: events, meta });
  const timestamp = headerDate(Date.now());
  const headers = {
    'content-type': 'application/json',
    'klaviyo-webhook-id': klaviyoId,
    'klaviyo-timestamp': timestamp,
    'klaviyo-signature': sign(secret, body, timestamp),
  };
  return { body, headers };
}

/** @returns the status; 0: there was no answer */
export async function deliver(url: string, { body, headers }: SignedDelivery): Promise<number> {
  return fetch(`${url}${API}/webhook-receiver`, { method: 'POST', headers, body }).then(
    async (answer) => {
      await answer.arrayBuffer();
      return answer.status;
    },
    () => 0,
  );
}
