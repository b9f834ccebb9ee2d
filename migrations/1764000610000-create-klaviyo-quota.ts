import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Klaviyo's quota as all replicas see it: one row for each account and counter, rewritten by every call that starts.
 * Instants are epoch seconds by the database's clock. Logged, so that a day's count survives a crash, but committed
 * without waiting for the disk; half of each page is free for the next version of a row, so that no index is touched.
 * Accounts are no tenants: several users may be connected to one, and they share its quota.
 */
export class CreateKlaviyoQuota1764000610000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE klaviyo_quota (
        account_id text NOT NULL,
        bucket text NOT NULL,
        burst integer NOT NULL,
        steady integer NOT NULL,
        daily integer,
        learned boolean NOT NULL DEFAULT false,
        share float8 NOT NULL,
        steady_gap float8 NOT NULL,
        steady_room float8 NOT NULL,
        steady_keep float8 NOT NULL,
        burst_gap float8 NOT NULL,
        burst_room float8 NOT NULL,
        burst_keep float8 NOT NULL,
        daily_room float8,
        daily_keep float8 NOT NULL,
        pace_scale float8 NOT NULL,
        steady_tat float8 NOT NULL DEFAULT 0,
        burst_tat float8 NOT NULL DEFAULT 0,
        blocked_until float8 NOT NULL DEFAULT 0,
        pace float8 NOT NULL DEFAULT 1,
        paced_at float8 NOT NULL DEFAULT 0,
        others float8 NOT NULL DEFAULT 0,
        others_at float8 NOT NULL DEFAULT 0,
        second bigint NOT NULL DEFAULT 0,
        second_used integer NOT NULL DEFAULT 0,
        second_before integer NOT NULL DEFAULT 0,
        hour bigint NOT NULL DEFAULT 0,
        hours integer[],
        PRIMARY KEY (account_id, bucket)
      ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.5, autovacuum_vacuum_threshold = 1000);
      COMMENT ON COLUMN klaviyo_quota.steady_tat IS 'GCRA: when the calls taken so far would be used up at the steady gap';
      COMMENT ON COLUMN klaviyo_quota.pace IS 'The part of the steady rate that a 429 left, at paced_at';
      COMMENT ON COLUMN klaviyo_quota.others IS 'Calls a second that others were seen to make, at others_at';
      COMMENT ON COLUMN klaviyo_quota.hours IS 'Calls of the last 25 hours: hour h counts in place h % 25 + 1; null where no day is counted';

      CREATE TABLE klaviyo_circuit (
        account_id text PRIMARY KEY,
        since timestamptz NOT NULL,
        open_until float8 NOT NULL,
        probe_until float8 NOT NULL DEFAULT 0
      );
      COMMENT ON TABLE klaviyo_circuit IS 'Accounts that Klaviyo does not answer for: those without a row are well';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE klaviyo_circuit; DROP TABLE klaviyo_quota;');
  }
}
