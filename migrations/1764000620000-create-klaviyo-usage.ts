import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who used how much of a quota, as each replica tells every few seconds; and incidents that operators are told of. */
export class CreateKlaviyoUsage1764000620000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE klaviyo_usage (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        operation text NOT NULL,
        replica uuid NOT NULL,
        used integer NOT NULL,
        waiting integer NOT NULL,
        throttled integer NOT NULL,
        throttled_on date NOT NULL,
        error_code text,
        error_at timestamptz,
        told_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, connection_id, operation, replica),
        CONSTRAINT klaviyo_usage_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      ) WITH (fillfactor = 70);
      COMMENT ON COLUMN klaviyo_usage.used IS 'Calls in the minute before told_at';

      CREATE TABLE alert_incident (
        id uuid PRIMARY KEY,
        key text NOT NULL,
        type text NOT NULL,
        severity text NOT NULL,
        user_id bigint,
        connection_id uuid,
        summary text NOT NULL,
        since timestamptz NOT NULL,
        resolved_at timestamptz,
        told_at timestamptz,
        told_resolved_at timestamptz,
        attempts integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz,
        lease uuid,
        CONSTRAINT alert_incident_severity CHECK (severity IN ('warning', 'error', 'critical'))
      );
      CREATE UNIQUE INDEX alert_incident_open ON alert_incident (key) WHERE resolved_at IS NULL;
      CREATE INDEX alert_incident_due ON alert_incident (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
      COMMENT ON COLUMN alert_incident.next_attempt_at IS 'When there is something to tell; null: nothing';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE alert_incident; DROP TABLE klaviyo_usage;');
  }
}
