import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What updates changed of people, sealed. Goes with its connection. */
export class CreateProfileChange1764000510000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE profile_change (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        id uuid NOT NULL,
        profile_id text NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        request_id text,
        sealed_changes text NOT NULL,
        PRIMARY KEY (user_id, connection_id, id),
        CONSTRAINT profile_change_connection FOREIGN KEY (user_id, connection_id)
          REFERENCES connection (user_id, id) ON DELETE CASCADE
      );
      CREATE INDEX profile_change_newest ON profile_change (user_id, connection_id, profile_id, at, id);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE profile_change');
  }
}
