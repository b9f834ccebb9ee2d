import type { MigrationInterface, QueryRunner } from 'typeorm';

/** `short`: one job waits per singleton key. Workers are woken: a slice of a run is followed by the next at once. */
const WORK = {
  policy: 'short',
  retryLimit: 5,
  retryDelay: 5,
  retryBackoff: true,
  retryDelayMax: 600,
  expireInSeconds: 120,
  deleteAfterSeconds: 3600,
  deadLetter: 'dead-letter',
  notify: true,
};
/** What the clock begins anew needs no second try. */
const TICK = { ...WORK, retryLimit: 0, deadLetter: undefined, notify: false };
const QUEUES: readonly (readonly [string, object])[] = [
  ['sync', WORK],
  ['sync-tick', TICK],
  ['mirror-erase', WORK],
  ['webhook-process', WORK],
  ['webhook-poll', WORK],
  ['webhook-tick', TICK],
];

/** How far the mirror of each resource has come, and the queues of synchronisation and webhooks. */
export class CreateMirrorState1764000700000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [name, options] of QUEUES)
      await runner.query('SELECT pgboss.create_queue($1, $2::jsonb)', [name, JSON.stringify(options)]);
    await runner.query(`
      CREATE TABLE mirror_state (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        resource text NOT NULL,
        complete_at timestamptz NOT NULL,
        synced_at timestamptz NOT NULL,
        high_water timestamptz,
        reconciled_at timestamptz,
        live_rows bigint NOT NULL DEFAULT 0,
        doubted_rows bigint,
        PRIMARY KEY (user_id, connection_id, resource),
        CONSTRAINT mirror_state_resource CHECK
          (resource IN ('lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events'))
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE mirror_state;');
    for (const [name] of [...QUEUES].reverse()) await runner.query('SELECT pgboss.delete_queue($1)', [name]);
  }
}
