import { dropTemplate } from './database.ts';
import { removeCluster } from './test-cluster.ts';

/** Once after all specs: nothing of the run is left, on its own cluster or on the server that it was given. */
export default async function globalTeardown(): Promise<void> {
  if (process.env['TEST_DATABASE_URL']) await dropTemplate();
  await removeCluster();
}
