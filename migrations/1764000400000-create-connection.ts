import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Users' Klaviyo accounts. The key of every tenant table begins with the tenant. */
export class CreateConnection1764000400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE connection (
        user_id bigint NOT NULL,
        id uuid NOT NULL,
        account_id text NOT NULL,
        account_name text,
        public_api_key text,
        label text,
        is_default boolean NOT NULL,
        status text NOT NULL CONSTRAINT connection_status CHECK (status IN ('active', 'invalid')),
        masked_key text NOT NULL,
        sealed_key text NOT NULL,
        key_version integer NOT NULL DEFAULT 1,
        capabilities jsonb NOT NULL,
        currency text,
        timezone text,
        connected_at timestamptz NOT NULL DEFAULT now(),
        last_validated_at timestamptz,
        validation_started_at timestamptz,
        PRIMARY KEY (user_id, id),
        CONSTRAINT connection_once_an_account UNIQUE (user_id, account_id)
      );
      CREATE UNIQUE INDEX connection_one_default ON connection (user_id) WHERE is_default;
      CREATE INDEX connection_by_account ON connection (account_id);
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE connection');
  }
}
