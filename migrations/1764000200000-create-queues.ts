import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What failed for good lands in the dead-letter queue with its error and stays there for 30 days. */
const DEAD_LETTER = 'dead-letter';
/** `short`: one job waits per singleton key; a second request for the same work is the same job. */
const WORK = {
  policy: 'short',
  retryLimit: 5,
  retryDelay: 10,
  retryBackoff: true,
  retryDelayMax: 600,
  expireInSeconds: 120,
  deleteAfterSeconds: 86_400,
  deadLetter: DEAD_LETTER,
};
const QUEUES: readonly (readonly [string, object])[] = [
  [DEAD_LETTER, { policy: 'standard', retentionSeconds: 2_592_000 }],
  ['member-counts', WORK],
  ['campaign-stats', WORK],
  ['housekeeping', WORK],
];

export class CreateQueues1764000200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [name, options] of QUEUES)
      await runner.query('SELECT pgboss.create_queue($1, $2::jsonb)', [name, JSON.stringify(options)]);
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const [name] of [...QUEUES].reverse()) await runner.query('SELECT pgboss.delete_queue($1)', [name]);
  }
}
