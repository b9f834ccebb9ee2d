import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What was answered to a request that carried an `Idempotency-Key`. The body itself is not here, only its keyed
 * fingerprint; the answer is sealed to its user. While a request is under way `answer` is null and `expires_at` is
 * the end of its lease, so that a crash frees the key.
 */
export class CreateIdempotencyKey1764000300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE idempotency_key (
        user_id bigint NOT NULL,
        key_hash bytea NOT NULL,
        route text NOT NULL,
        body_key_id text NOT NULL,
        body_mac text NOT NULL,
        lease_token uuid NOT NULL,
        answer text,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, key_hash)
      );
      CREATE INDEX idempotency_key_expires_at ON idempotency_key (expires_at);
      COMMENT ON COLUMN idempotency_key.key_hash IS 'SHA-256 of caller, route and the Idempotency-Key';`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE idempotency_key');
  }
}
