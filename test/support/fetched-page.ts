import type { FetchedPage, PageCall, PageRequest, Pass, Syncer } from '../../src/mirror/syncer';

/** A page as the engine hands it on: its rows as `write` takes them. */
export async function fetchedPage<Row, Fetched>(
  syncer: Syncer<Row, Fetched>,
  pass: Pass,
  request: PageRequest,
  call: PageCall,
): Promise<FetchedPage<Row>> {
  const page = await syncer.fetch(pass, request, call);
  // A syncer without `mapped` fetches rows as it writes them.
  return { ...page, rows: syncer.mapped?.(page.rows) ?? (page.rows as readonly unknown[] as readonly Row[]) };
}
