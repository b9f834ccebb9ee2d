import type { MigrationInterface, QueryRunner } from 'typeorm';

const TENANT = `
  user_id bigint NOT NULL,
  connection_id uuid NOT NULL`;
const tenantOf = (table: string) => `
  CONSTRAINT ${table}_connection FOREIGN KEY (user_id, connection_id)
    REFERENCES connection (user_id, id) ON DELETE CASCADE`;

/** Figures that Klaviyo gives too slowly to be asked for on every read: member counts and campaign statistics. */
export class CreateFigures1764000530000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE member_count (${TENANT},
        kind text NOT NULL,
        klaviyo_id text NOT NULL,
        member_count integer,
        computed_at timestamptz,
        requested_at timestamptz,
        PRIMARY KEY (user_id, connection_id, kind, klaviyo_id),
        CONSTRAINT member_count_kind CHECK (kind IN ('list', 'segment')),
        ${tenantOf('member_count')}
      );
      CREATE INDEX member_count_requested ON member_count (user_id, connection_id) WHERE requested_at IS NOT NULL;

      CREATE TABLE campaign_figure (${TENANT},
        klaviyo_id text NOT NULL,
        messages jsonb NOT NULL,
        computed_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, connection_id, klaviyo_id),
        ${tenantOf('campaign_figure')}
      );

      CREATE TABLE report_run (${TENANT},
        report_window text NOT NULL,
        requested_at timestamptz,
        leased_until timestamptz,
        begun_at timestamptz,
        page_cursor text,
        metric_id text,
        computed_at timestamptz,
        PRIMARY KEY (user_id, connection_id, report_window),
        ${tenantOf('report_run')}
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE report_run; DROP TABLE campaign_figure; DROP TABLE member_count;');
  }
}
