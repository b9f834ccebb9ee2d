import type { MigrationInterface, QueryRunner } from 'typeorm';

const TENANT = `
  user_id bigint NOT NULL,
  connection_id uuid NOT NULL`;
const tenantOf = (table: string) => `
  CONSTRAINT ${table}_connection FOREIGN KEY (user_id, connection_id)
    REFERENCES connection (user_id, id) ON DELETE CASCADE`;

/**
 * The mirror of campaigns, what became of them over time, and what was heard of them since their last report.
 *
 * Every pass stamps every campaign: room is left in each page, so that this touches no index. Ids compare byte by byte,
 * as the service does, whatever the database's language is.
 */
export class CreateCampaignMirror1764000750000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE mirrored_campaign (${TENANT},
        klaviyo_id text COLLATE "C" NOT NULL,
        name text,
        status text NOT NULL,
        klaviyo_status text,
        channel text,
        archived boolean NOT NULL,
        audiences jsonb NOT NULL,
        created_at timestamptz,
        updated_at timestamptz,
        scheduled_at timestamptz,
        sent_at timestamptz,
        moment timestamptz NOT NULL,
        message_ids text[] NOT NULL,
        messages jsonb NOT NULL,
        document jsonb NOT NULL,
        synced_at timestamptz NOT NULL,
        deleted_at timestamptz,
        PRIMARY KEY (user_id, connection_id, klaviyo_id),
        ${tenantOf('mirrored_campaign')}
      ) WITH (fillfactor = 60);
      CREATE INDEX mirrored_campaign_by_moment ON mirrored_campaign (connection_id, moment DESC, klaviyo_id)
        WHERE deleted_at IS NULL;
      CREATE INDEX mirrored_campaign_by_channel ON mirrored_campaign (connection_id, channel, moment DESC, klaviyo_id)
        WHERE deleted_at IS NULL;
      CREATE INDEX mirrored_campaign_by_status ON mirrored_campaign (connection_id, status, moment DESC, klaviyo_id)
        WHERE deleted_at IS NULL;
      CREATE INDEX mirrored_campaign_by_archived ON mirrored_campaign (connection_id, archived, moment DESC, klaviyo_id)
        WHERE deleted_at IS NULL;
      CREATE INDEX mirrored_campaign_by_message ON mirrored_campaign USING gin (message_ids);

      CREATE TABLE campaign_change (${TENANT},
        klaviyo_id text COLLATE "C" NOT NULL,
        at timestamptz NOT NULL,
        status text NOT NULL,
        klaviyo_status text,
        scheduled_at timestamptz,
        sent_at timestamptz,
        PRIMARY KEY (user_id, connection_id, klaviyo_id, at),
        ${tenantOf('campaign_change')}
      );

      CREATE TABLE campaign_snapshot (${TENANT},
        klaviyo_id text COLLATE "C" NOT NULL,
        at timestamptz NOT NULL,
        counts jsonb NOT NULL,
        PRIMARY KEY (user_id, connection_id, klaviyo_id, at),
        ${tenantOf('campaign_snapshot')}
      );
      CREATE INDEX campaign_snapshot_by_time ON campaign_snapshot (connection_id, at);

      CREATE TABLE campaign_engagement (${TENANT},
        klaviyo_id text COLLATE "C" NOT NULL,
        kind text NOT NULL,
        minute timestamptz NOT NULL,
        count bigint NOT NULL,
        PRIMARY KEY (user_id, connection_id, klaviyo_id, kind, minute),
        CONSTRAINT campaign_engagement_kind CHECK
          (kind IN ('delivered', 'open', 'click', 'bounce', 'unsubscribe', 'spam')),
        ${tenantOf('campaign_engagement')}
      ) WITH (fillfactor = 70);

      CREATE TABLE conversion_metric (${TENANT},
        metric_id text NOT NULL,
        usable boolean NOT NULL,
        chosen_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, connection_id),
        ${tenantOf('conversion_metric')}
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE conversion_metric;
      DROP TABLE campaign_engagement;
      DROP TABLE campaign_snapshot;
      DROP TABLE campaign_change;
      DROP TABLE mirrored_campaign;
    `);
  }
}
