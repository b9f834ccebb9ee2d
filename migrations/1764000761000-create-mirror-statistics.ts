import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * After a pass has filled a table, PostgreSQL plans reads of it as if it were nearly empty until autovacuum comes by, a
 * minute or more later. The service may be a plain role, which cannot ANALYZE: the owner's function does, where a tenth of
 * a table has changed. A table that somebody analyses already is left to them.
 */
export class CreateMirrorStatistics1764000761000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE FUNCTION refresh_mirror_statistics() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
      SET search_path FROM CURRENT AS $$
      DECLARE
        changed regclass;
      BEGIN
        FOR changed IN
          SELECT relid::regclass FROM pg_stat_user_tables
          WHERE schemaname = current_schema()
            AND relname IN ('mirrored_profile', 'mirrored_profile_document', 'membership', 'mirrored_event')
            AND n_mod_since_analyze > 1000 + n_live_tup / 10
          ORDER BY relname
        LOOP
          EXECUTE format('ANALYZE (SKIP_LOCKED) %s', changed);
        END LOOP;
      END $$;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION refresh_mirror_statistics();');
  }
}
