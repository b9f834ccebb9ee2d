import type { MigrationInterface, QueryRunner } from 'typeorm';

/** When which connection is synchronised by itself, whose mirror is still to be removed, and who watches a run. */
export class CreateSyncSchedule1764000720000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE sync_schedule (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        enabled boolean NOT NULL DEFAULT true,
        interval_minutes integer,
        next_run_at timestamptz NOT NULL,
        next_full_at timestamptz,
        since timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, connection_id),
        CONSTRAINT sync_schedule_interval CHECK (interval_minutes > 0),
        CONSTRAINT sync_schedule_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      );
      CREATE INDEX sync_schedule_due ON sync_schedule (next_run_at) WHERE enabled;

      -- Without a foreign key: it is about connections that are gone.
      CREATE TABLE mirror_erasure (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        requested_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, connection_id)
      );

      CREATE TABLE sync_stream_slot (
        user_id bigint NOT NULL,
        slot smallint NOT NULL,
        lease uuid NOT NULL,
        leased_until timestamptz NOT NULL,
        PRIMARY KEY (user_id, slot)
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE sync_stream_slot; DROP TABLE mirror_erasure; DROP TABLE sync_schedule;');
  }
}
