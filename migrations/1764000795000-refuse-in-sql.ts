import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Lets a statement end its transaction, with a code: pages are sent together with the statements that make sure that the
 * run is still ours and that nothing is missing before them, and with the COMMIT behind those.
 */
export class RefuseInSql1764000795000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION refuse(state text, reason text) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = reason; END $$`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION refuse(text, text)');
  }
}
