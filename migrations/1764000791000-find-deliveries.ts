import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The latest deliveries of one webhook, by which the time of working off is judged, without looking at all others. */
export class FindDeliveries1764000791000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      'CREATE INDEX webhook_delivery_webhook ON webhook_delivery (user_id, connection_id, webhook_id, id)',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP INDEX webhook_delivery_webhook');
  }
}
