import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * After a pass has filled a table, PostgreSQL plans reads of it as if it were nearly empty until autovacuum comes by, a
 * minute or more later. The service may be a plain role, which cannot ANALYZE: the owner's function does, where half of
 * a table has changed, or a tenth and it was not done within the last minute: many small passes that end together do not
 * each pay for it. A table that somebody analyses already is left to them.
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
            AND (n_mod_since_analyze > 1000 + n_live_tup / 2
              OR n_mod_since_analyze > 1000 + n_live_tup / 10 AND greatest(last_analyze, last_autoanalyze, '-infinity')
                < now() - interval '1 minute')
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
