import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Rows may come by COPY, which takes no expressions: what PostgreSQL knows by itself of a new row, and what can wait. */
export class CopyPeople1764000795000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE mirrored_profile
        ALTER COLUMN fingerprint DROP NOT NULL,
        ALTER COLUMN changed_at SET DEFAULT statement_timestamp(),
        ALTER COLUMN synced_at SET DEFAULT now();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      UPDATE mirrored_profile SET fingerprint = hashtextextended(document, 0) WHERE fingerprint IS NULL;
      ALTER TABLE mirrored_profile
        ALTER COLUMN fingerprint SET NOT NULL,
        ALTER COLUMN changed_at DROP DEFAULT,
        ALTER COLUMN synced_at DROP DEFAULT;
    `);
  }
}
