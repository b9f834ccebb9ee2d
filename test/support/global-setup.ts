import { prepareCluster } from './test-cluster.ts';

/** Once before all specs. The cluster itself starts when the first spec asks for a database: unit specs never do. */
export default async function globalSetup(): Promise<void> {
  await prepareCluster();
}
