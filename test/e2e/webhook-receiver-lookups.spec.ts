import { Client } from 'pg';
import { AppError } from '../../src/common/errors';
import { ReceiverWebhooks } from '../../src/webhooks/receiver-webhooks';
import { klaviyoEvent, ReceiverStage } from './webhook-receiver-stage';

let stage: ReceiverStage;
let webhooks: ReceiverWebhooks;
let blocker: Client;

beforeAll(async () => {
  stage = await ReceiverStage.open({ env: { ROLE: 'api' } });
  webhooks = stage.app.app.get(ReceiverWebhooks, { strict: false });
  blocker = new Client({ connectionString: stage.app.database.url });
  await blocker.connect();
}, 60_000);
afterAll(async () => {
  await blocker.end();
  await stage.stop();
});

/** While nobody can read who has a webhook. */
const whileBlocked = async (work: () => Promise<void>) => {
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE webhook IN ACCESS EXCLUSIVE MODE');
  try {
    await work();
  } finally {
    await blocker.query('ROLLBACK');
  }
};

/** Statements that wait for the lock. */
const stuck = async () => {
  const { rows } = await stage.database.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%klaviyo_webhook_id = %'`,
  );
  return rows[0]?.count ?? 0;
};

describe('looking up who has a webhook', () => {
  it('takes two lines of the database however many ask, and beyond a bound nobody waits', async () => {
    const hook = await stage.hook();
    expect((await stage.deliver(hook, [klaviyoEvent('known')])).status).toBe(200);
    await whileBlocked(async () => {
      const outcomes = Promise.allSettled(Array.from({ length: 300 }, (_, n) => webhooks.of(`01UNKNOWN${n}`)));
      await stage.until(async () => ((await stuck()) >= 2 ? true : undefined));
      expect(await stuck()).toBe(2);
      // One that is known is not asked for.
      expect(await webhooks.of(hook.klaviyoId)).toMatchObject([{ id: hook.id }]);
      await blocker.query('ROLLBACK');
      const refused = (await outcomes).flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
      expect(refused).toHaveLength(300 - 202);
      for (const reason of refused) {
        expect(reason).toBeInstanceOf(AppError);
        expect(reason).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: 5 });
      }
    });
    const fresh = await stage.hook();
    expect((await stage.deliver(fresh, [klaviyoEvent('fresh')])).status).toBe(200);
  });

  it('is not waited for longer than Klaviyo waits', async () => {
    const hook = await stage.hook();
    const began = Date.now();
    await whileBlocked(async () => {
      const answer = await stage.deliver(hook, [klaviyoEvent('held')]);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
    });
    expect(Date.now() - began).toBeLessThan(20_000);
    expect((await stage.deliver(hook, [klaviyoEvent('held')])).status).toBe(200);
  });
});
