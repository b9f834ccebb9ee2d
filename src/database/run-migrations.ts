import { readMigrationUrls } from '../config/migration-urls';
import { migrate, revert } from './migrate';

/** `npm run db:push` (up) and `npm run db:revert` (down). */
async function main(): Promise<void> {
  const { directUrl, serviceUrl } = readMigrationUrls();
  if (process.argv[2] === 'down') await revert(directUrl);
  else await migrate(directUrl, serviceUrl);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : 'migration failed'}\n`);
  process.exitCode = 1;
});
