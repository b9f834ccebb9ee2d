import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What Klaviyo's webhooks bring: deliveries (which are also the queue of what is to be worked off) and their events.
 * An event that takes the ordinary way is written once and never changed: its state is that of its delivery.
 */
export class CreateReceivedEvent1764000770000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE webhook_delivery (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        id uuid NOT NULL,
        webhook_id uuid NOT NULL,
        source text NOT NULL,
        digest bytea,
        late boolean NOT NULL DEFAULT false,
        received_at timestamptz NOT NULL DEFAULT now(),
        events integer NOT NULL,
        malformed integer NOT NULL DEFAULT 0,
        repeats integer NOT NULL DEFAULT 0,
        first_event_id uuid,
        last_event_id uuid,
        attempts integer NOT NULL DEFAULT 0,
        last_error text,
        next_at timestamptz NOT NULL DEFAULT now(),
        processed_at timestamptz,
        PRIMARY KEY (user_id, connection_id, id),
        CONSTRAINT webhook_delivery_once UNIQUE (user_id, connection_id, digest),
        CONSTRAINT webhook_delivery_source CHECK (source IN ('push', 'poll', 'backfill'))
      ) WITH (fillfactor = 85);
      CREATE INDEX webhook_delivery_due ON webhook_delivery (user_id, connection_id, id) WHERE processed_at IS NULL;
      CREATE INDEX webhook_delivery_received ON webhook_delivery USING brin (received_at);

      CREATE TABLE received_event (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        id uuid NOT NULL,
        external_id text COLLATE "C" NOT NULL,
        webhook_id uuid NOT NULL,
        delivery_id uuid NOT NULL,
        topic text NOT NULL,
        metric_id text,
        profile_id text COLLATE "C",
        properties jsonb NOT NULL,
        occurred_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        late boolean NOT NULL DEFAULT false,
        status text,
        attempts integer NOT NULL DEFAULT 0,
        last_error text,
        next_at timestamptz,
        trail jsonb,
        PRIMARY KEY (user_id, connection_id, id),
        CONSTRAINT received_event_once UNIQUE (user_id, connection_id, external_id),
        CONSTRAINT received_event_status CHECK (status IN ('received', 'processed', 'failed', 'dead', 'quarantined'))
      );
      CREATE INDEX received_event_apart ON received_event (user_id, connection_id, status, id)
        WHERE status IS NOT NULL;
      CREATE INDEX received_event_due ON received_event (user_id, connection_id, next_at) WHERE next_at IS NOT NULL;
      CREATE INDEX received_event_profile ON received_event (connection_id, profile_id, id);
      CREATE INDEX received_event_received ON received_event USING brin (received_at);

      CREATE TABLE webhook_figure (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        webhook_id uuid NOT NULL,
        received bigint NOT NULL DEFAULT 0,
        processed bigint NOT NULL DEFAULT 0,
        duplicates bigint NOT NULL DEFAULT 0,
        last_received_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, connection_id, webhook_id),
        CONSTRAINT webhook_figure_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      ) WITH (fillfactor = 50);

      CREATE TABLE webhook_lane (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        lease uuid NOT NULL,
        leased_until timestamptz NOT NULL,
        PRIMARY KEY (user_id, connection_id),
        CONSTRAINT webhook_lane_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      ) WITH (fillfactor = 50);

      CREATE TABLE profile_refresh (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        profile_id text COLLATE "C" NOT NULL,
        wanted_at timestamptz NOT NULL DEFAULT now(),
        next_at timestamptz NOT NULL DEFAULT now(),
        attempts integer NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, connection_id, profile_id)
      );
      CREATE INDEX profile_refresh_due ON profile_refresh (user_id, connection_id, next_at);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE profile_refresh; DROP TABLE webhook_lane; DROP TABLE webhook_figure; DROP TABLE received_event;
      DROP TABLE webhook_delivery;
    `);
  }
}
