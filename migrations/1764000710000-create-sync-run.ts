import type { MigrationInterface, QueryRunner } from 'typeorm';

const RESOURCE = `(resource IN ('lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events'))`;
const runOf = (table: string): string => `CONSTRAINT ${table}_run FOREIGN KEY (user_id, sync_id)
    REFERENCES sync_run (user_id, id) ON DELETE CASCADE`;

/**
 * Synchronisations: the run, what became of each of its resources, the windows that are read side by side, and the log
 * of pages. A run's state lives in these rows; its jobs only carry ids. What every page updates has room beside it.
 */
export class CreateSyncRun1764000710000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE sync_run (
        user_id bigint NOT NULL,
        id uuid NOT NULL,
        connection_id uuid NOT NULL,
        mode text NOT NULL,
        trigger text NOT NULL,
        status text NOT NULL DEFAULT 'queued',
        resources text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        finished_at timestamptz,
        cancel_requested_at timestamptz,
        lease uuid,
        leased_until timestamptz,
        error_code text,
        estimate jsonb,
        floor_seconds double precision,
        PRIMARY KEY (user_id, id),
        CONSTRAINT sync_run_mode CHECK (mode IN ('full', 'incremental')),
        CONSTRAINT sync_run_trigger CHECK (trigger IN ('api', 'schedule', 'webhook')),
        CONSTRAINT sync_run_status CHECK
          (status IN ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled')),
        CONSTRAINT sync_run_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      ) WITH (fillfactor = 70);
      CREATE UNIQUE INDEX sync_run_running ON sync_run (user_id, connection_id) WHERE status = 'running';
      CREATE UNIQUE INDEX sync_run_queued ON sync_run (user_id, connection_id) WHERE status = 'queued';
      CREATE INDEX sync_run_created ON sync_run (user_id, connection_id, created_at);

      CREATE TABLE sync_resource (
        user_id bigint NOT NULL,
        sync_id uuid NOT NULL,
        resource text NOT NULL,
        status text NOT NULL DEFAULT 'pending',
        pass_kind text,
        pass_started_at timestamptz,
        planned boolean NOT NULL DEFAULT false,
        sweeping boolean NOT NULL DEFAULT false,
        fetched bigint NOT NULL DEFAULT 0,
        upserted bigint NOT NULL DEFAULT 0,
        deleted bigint NOT NULL DEFAULT 0,
        quarantined bigint NOT NULL DEFAULT 0,
        pages bigint NOT NULL DEFAULT 0,
        requests bigint NOT NULL DEFAULT 0,
        throttled bigint NOT NULL DEFAULT 0,
        waited_ms bigint NOT NULL DEFAULT 0,
        requests_by_operation jsonb NOT NULL DEFAULT '{}',
        expected_rows bigint,
        covered double precision,
        failing_since timestamptz,
        error_code text,
        started_at timestamptz,
        finished_at timestamptz,
        PRIMARY KEY (user_id, sync_id, resource),
        CONSTRAINT sync_resource_resource CHECK ${RESOURCE},
        CONSTRAINT sync_resource_status CHECK
          (status IN ('pending', 'running', 'succeeded', 'failed', 'skipped', 'cancelled')),
        CONSTRAINT sync_resource_pass_kind CHECK (pass_kind IN ('full', 'incremental')),
        ${runOf('sync_resource')}
      ) WITH (fillfactor = 50);

      CREATE TABLE sync_window (
        user_id bigint NOT NULL,
        sync_id uuid NOT NULL,
        resource text NOT NULL,
        part text NOT NULL,
        window_no integer NOT NULL,
        divisible boolean NOT NULL,
        span_from timestamptz,
        span_to timestamptz,
        position timestamptz,
        cursor text,
        status text NOT NULL DEFAULT 'open',
        fetched bigint NOT NULL DEFAULT 0,
        pages bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, sync_id, resource, part, window_no),
        CONSTRAINT sync_window_resource CHECK ${RESOURCE},
        CONSTRAINT sync_window_status CHECK (status IN ('open', 'done', 'gone')),
        ${runOf('sync_window')}
      ) WITH (fillfactor = 50);

      CREATE TABLE sync_page (
        user_id bigint NOT NULL,
        sync_id uuid NOT NULL,
        n bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        resource text NOT NULL,
        part text NOT NULL,
        window_no integer NOT NULL,
        rows integer NOT NULL,
        upserted integer,
        quarantined integer NOT NULL DEFAULT 0,
        ms integer NOT NULL,
        waited_ms integer NOT NULL,
        PRIMARY KEY (user_id, sync_id, n),
        CONSTRAINT sync_page_resource CHECK ${RESOURCE},
        ${runOf('sync_page')}
      );
      CREATE INDEX sync_page_at ON sync_page USING brin (at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE sync_page; DROP TABLE sync_window; DROP TABLE sync_resource; DROP TABLE sync_run;');
  }
}
