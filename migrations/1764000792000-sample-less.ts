import type { MigrationInterface, QueryRunner } from 'typeorm';

const bodyOf = (tables: string, analyse: string): string => `
  CREATE OR REPLACE FUNCTION refresh_mirror_statistics() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path FROM CURRENT AS $$
  DECLARE
    changed regclass;
  BEGIN
    FOR changed IN
      SELECT relid::regclass FROM pg_stat_user_tables
      WHERE schemaname = current_schema() AND relname IN (${tables})
        AND (n_mod_since_analyze > 1000 + n_live_tup / 2
          OR n_mod_since_analyze > 1000 + n_live_tup / 10 AND greatest(last_analyze, last_autoanalyze, '-infinity')
            < now() - interval '1 minute')
      ORDER BY relname
    LOOP
      ${analyse}
    END LOOP;
  END $$;`;

/**
 * What the mirror's statistics are for is the choice between its indexes: a quarter of PostgreSQL's usual sample (7,500
 * rows) tells as much there, and a pass over 100,000 people ends half a second earlier.
 *
 * A table is left to whoever analyses it already, but no longer to an autovacuum: that may take minutes before it comes to
 * the statistics, and gives way after a second when somebody else wants the table.
 */
export class SampleLess1764000792000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ${bodyOf(
        `'mirrored_profile', 'membership', 'mirrored_event'`,
        `CONTINUE WHEN EXISTS (SELECT 1 FROM pg_stat_progress_analyze WHERE relid = changed);
      BEGIN
        EXECUTE format('ANALYZE %s', changed);
      EXCEPTION WHEN lock_not_available THEN
        -- Somebody changes the table itself: they know why, and the next pass comes.
        NULL;
      END;`,
      )}
      ALTER FUNCTION refresh_mirror_statistics() SET default_statistics_target = 25;
      ALTER FUNCTION refresh_mirror_statistics() SET lock_timeout = '10s';
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(
      bodyOf(
        `'mirrored_profile', 'mirrored_profile_document', 'membership', 'mirrored_event'`,
        `EXECUTE format('ANALYZE (SKIP_LOCKED) %s', changed);`,
      ),
    );
  }
}
