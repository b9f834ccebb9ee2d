import type { MigrationInterface, QueryRunner } from 'typeorm';

const connectionOf = (table: string) => `
  CONSTRAINT ${table}_connection FOREIGN KEY (user_id, connection_id)
    REFERENCES connection (user_id, id) ON DELETE CASCADE`;

/**
 * The mirror of lists, segments and who is in them, and member counts over time.
 *
 * Every full pass stamps every membership: half of each page is left free, so that this never touches an index.
 */
export class CreateGroupMirror1764000740000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE mirrored_group (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        kind text NOT NULL,
        klaviyo_id text NOT NULL,
        name text,
        folded_name text NOT NULL,
        opt_in_process text,
        is_active boolean,
        is_processing boolean,
        is_starred boolean,
        created_at timestamptz,
        updated_at timestamptz,
        document jsonb NOT NULL,
        synced_at timestamptz NOT NULL,
        deleted_at timestamptz,
        first_seen_at timestamptz NOT NULL DEFAULT now(),
        members_seen_at timestamptz,
        PRIMARY KEY (user_id, connection_id, kind, klaviyo_id),
        CONSTRAINT mirrored_group_kind CHECK (kind IN ('list', 'segment')),
        ${connectionOf('mirrored_group')}
      ) WITH (fillfactor = 70);

      CREATE TABLE membership (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        kind text NOT NULL,
        group_id text NOT NULL,
        profile_id text COLLATE "C" NOT NULL,
        joined_at timestamptz NOT NULL,
        synced_at timestamptz NOT NULL,
        left_at timestamptz,
        PRIMARY KEY (user_id, connection_id, kind, group_id, profile_id),
        CONSTRAINT membership_kind CHECK (kind IN ('list', 'segment'))
      ) WITH (fillfactor = 50);
      CREATE INDEX membership_of_profile ON membership (connection_id, profile_id) WHERE left_at IS NULL;
      CREATE INDEX membership_by_time ON membership (connection_id, kind, group_id, joined_at, profile_id)
        WHERE left_at IS NULL;

      CREATE TABLE member_count_history (
        user_id bigint NOT NULL,
        connection_id uuid NOT NULL,
        kind text NOT NULL,
        klaviyo_id text NOT NULL,
        hour timestamptz NOT NULL,
        at timestamptz NOT NULL,
        member_count integer NOT NULL,
        source text NOT NULL,
        PRIMARY KEY (user_id, connection_id, kind, klaviyo_id, hour),
        CONSTRAINT member_count_history_kind CHECK (kind IN ('list', 'segment')),
        CONSTRAINT member_count_history_source CHECK (source IN ('pass', 'count')),
        ${connectionOf('member_count_history')}
      );
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE member_count_history; DROP TABLE membership; DROP TABLE mirrored_group;');
  }
}
