import { EnvReader } from './env-reader';

/** The two addresses that the migration commands need, without asking for the rest of the environment. */
export function readMigrationUrls(): { directUrl: string; serviceUrl: string } {
  const read = new EnvReader(process.env);
  const serviceUrl = read.databaseUrl('DATABASE_URL') ?? '';
  const directUrl = read.databaseUrl('DATABASE_DIRECT_URL') ?? serviceUrl;
  if (directUrl === '') read.fault('DATABASE_URL', 'is required: the address of a PostgreSQL, postgres://…');
  read.throwFaults();
  return { directUrl, serviceUrl: serviceUrl === '' ? directUrl : serviceUrl };
}
