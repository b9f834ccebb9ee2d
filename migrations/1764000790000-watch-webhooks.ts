import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What it takes to know which events Klaviyo did not bring, or could not: when somebody was there, and who brought what. */
export class WatchWebhooks1764000790000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE webhook
        ADD COLUMN reads_from timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN read_reason text,
        ADD COLUMN check_until timestamptz,
        ADD COLUMN older_secrets jsonb NOT NULL DEFAULT '[]',
        ADD CONSTRAINT webhook_read_reason CHECK (read_reason IN ('silent', 'away', 'off'));
      UPDATE webhook SET reads_from = created_at;
      ALTER TABLE webhook_figure ADD COLUMN last_pushed_at timestamptz;
      CREATE TABLE webhook_watch (
        since timestamptz PRIMARY KEY DEFAULT now(),
        until timestamptz NOT NULL DEFAULT now(),
        away_since timestamptz
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE webhook_watch;
      ALTER TABLE webhook_figure DROP COLUMN last_pushed_at;
      ALTER TABLE webhook DROP COLUMN reads_from, DROP COLUMN read_reason, DROP COLUMN check_until,
        DROP COLUMN older_secrets;
    `);
  }
}
