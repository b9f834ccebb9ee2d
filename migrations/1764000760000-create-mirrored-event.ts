import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The mirror of an account's metrics and events. */
export class CreateMirroredEvent1764000760000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE mirrored_metric (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        klaviyo_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        integration_key text,
        integration_name text,
        integration_category text,
        created_at timestamptz,
        updated_at timestamptz,
        document jsonb NOT NULL,
        synced_at timestamptz NOT NULL,
        deleted_at timestamptz,
        PRIMARY KEY (user_id, connection_id, klaviyo_id),
        CONSTRAINT mirrored_metric_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      );
      CREATE TABLE mirrored_event (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        klaviyo_id text COLLATE "C" NOT NULL,
        metric_id text COLLATE "C",
        profile_id text COLLATE "C",
        occurred_at timestamptz NOT NULL,
        value double precision,
        document jsonb NOT NULL,
        synced_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        deleted_at timestamptz,
        PRIMARY KEY (user_id, connection_id, klaviyo_id)
      ) WITH (fillfactor = 80);
      CREATE INDEX mirrored_event_timeline ON mirrored_event (connection_id, profile_id, occurred_at, klaviyo_id);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE mirrored_event; DROP TABLE mirrored_metric;');
  }
}
