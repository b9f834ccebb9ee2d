import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Webhooks, what is still to be removed of them at Klaviyo, and the events that are passed on. */
export class CreateWebhook1764000780000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE webhook (
        user_id bigint NOT NULL,
        id uuid NOT NULL,
        connection_id uuid NOT NULL,
        klaviyo_webhook_id text,
        name text NOT NULL,
        description text,
        topics text[] NOT NULL,
        all_topics boolean NOT NULL DEFAULT false,
        delivery text NOT NULL,
        enabled boolean NOT NULL DEFAULT true,
        status text NOT NULL,
        endpoint_url text,
        sealed_secret text,
        sealed_previous_secret text,
        previous_until timestamptz,
        secret_confirmed boolean NOT NULL DEFAULT true,
        secret_version integer NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        checked_at timestamptz,
        read_from timestamptz NOT NULL DEFAULT now(),
        read_until timestamptz,
        read_progress jsonb,
        read_at timestamptz,
        read_lease uuid,
        read_failures integer NOT NULL DEFAULT 0,
        looked_back_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, id),
        CONSTRAINT webhook_once UNIQUE (connection_id, klaviyo_webhook_id),
        CONSTRAINT webhook_delivery_kind CHECK (delivery IN ('push', 'poll')),
        CONSTRAINT webhook_status CHECK (status IN ('active', 'disabled', 'error')),
        CONSTRAINT webhook_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      ) WITH (fillfactor = 70);
      CREATE INDEX webhook_at_klaviyo ON webhook (klaviyo_webhook_id) WHERE klaviyo_webhook_id IS NOT NULL;
      CREATE INDEX webhook_to_read ON webhook (read_at) WHERE read_at IS NOT NULL;

      CREATE TABLE webhook_removal (
        user_id bigint NOT NULL,
        webhook_id uuid NOT NULL,
        connection_id uuid NOT NULL,
        account_id text NOT NULL,
        klaviyo_webhook_id text,
        sealed_key text,
        due_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        lease uuid,
        PRIMARY KEY (user_id, webhook_id)
      );
      CREATE INDEX webhook_removal_due ON webhook_removal (due_at);

      CREATE SEQUENCE event_forward_sequence;
      CREATE TABLE event_forward (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        event_id uuid NOT NULL,
        profile_id text,
        sequence bigint NOT NULL,
        status text NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        last_error text,
        planned_at timestamptz NOT NULL DEFAULT now(),
        first_failed_at timestamptz,
        next_at timestamptz NOT NULL DEFAULT now(),
        lease uuid,
        settled_at timestamptz,
        PRIMARY KEY (user_id, connection_id, event_id),
        CONSTRAINT event_forward_status CHECK (status IN ('waiting', 'delivered', 'dead'))
      );
      CREATE INDEX event_forward_due ON event_forward (user_id, connection_id, next_at, sequence)
        WHERE status = 'waiting';
      CREATE INDEX event_forward_order ON event_forward (user_id, connection_id, profile_id, sequence)
        WHERE status = 'waiting';
      CREATE INDEX event_forward_dead ON event_forward (user_id, connection_id) WHERE status = 'dead';
      CREATE INDEX event_forward_planned ON event_forward USING brin (planned_at);

      CREATE TABLE forward_target (
        id text PRIMARY KEY,
        failures integer NOT NULL DEFAULT 0,
        failing_since timestamptz,
        stopped text,
        probe_at timestamptz,
        CONSTRAINT forward_target_stopped CHECK (stopped IN ('gone', 'failing'))
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE forward_target; DROP TABLE event_forward; DROP SEQUENCE event_forward_sequence;
      DROP TABLE webhook_removal; DROP TABLE webhook;
    `);
  }
}
