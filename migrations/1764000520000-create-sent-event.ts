import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Events accepted from callers: what is not delivered yet, and what became of the rest. One table is queue and
 * record, so that accepting an event is one statement. Who it is about and what it says are sealed.
 */
export class CreateSentEvent1764000520000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE sent_event (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        id uuid NOT NULL,
        event_type text NOT NULL,
        unique_id text NOT NULL,
        profile_key text NOT NULL,
        status text NOT NULL,
        sealed_profile text NOT NULL,
        sealed_payload text,
        "time" timestamptz NOT NULL,
        value double precision,
        currency text,
        attempts integer NOT NULL DEFAULT 0,
        last_error text,
        next_attempt_at timestamptz NOT NULL,
        lease uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        sent_at timestamptz,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, connection_id, id),
        CONSTRAINT sent_event_once UNIQUE (user_id, connection_id, event_type, profile_key, unique_id),
        CONSTRAINT sent_event_status CHECK (status IN ('queued', 'sent', 'failed', 'dead', 'cancelled')),
        CONSTRAINT sent_event_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      );
      CREATE INDEX sent_event_due ON sent_event (user_id, connection_id, next_attempt_at) WHERE status = 'queued';
      CREATE INDEX sent_event_created ON sent_event USING brin (created_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE sent_event');
  }
}
