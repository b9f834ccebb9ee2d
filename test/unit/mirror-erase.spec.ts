import { Clock } from '../../src/common/clock';
import { QUEUES } from '../../src/jobs/queues';
import { RESOURCES, type Resource } from '../../src/mirror/resources';
import { Syncers } from '../../src/mirror/syncers';
import type { Syncer } from '../../src/mirror/syncer';
import { MirrorEraseJob } from '../../src/sync/mirror-erase.job';

class Minutes extends Clock {
  at = 0;

  override now(): number {
    return this.at;
  }
}

describe('the removal of a mirror', () => {
  /** A mirror of so many rows of each resource, of which a statement takes ten seconds. */
  function stage(rows: Partial<Record<Resource, number>>) {
    const clock = new Minutes();
    const left = new Map<Resource, number>(RESOURCES.map((resource) => [resource, rows[resource] ?? 0]));
    const statements: { resource: Resource; limit: number }[] = [];
    const syncers = new Syncers();
    for (const resource of RESOURCES)
      syncers.register({
        resource,
        erase: (_userId: number, _ids: readonly string[], limit: number) => {
          statements.push({ resource, limit });
          const removed = Math.min(limit, left.get(resource) ?? 0);
          left.set(resource, (left.get(resource) ?? 0) - removed);
          if (removed > 0) clock.at += 10_000;
          return Promise.resolve(removed);
        },
      } as Partial<Syncer> as Syncer);
    const said: string[] = [];
    const note = (text: string) => () => {
      said.push(text);
      return Promise.resolve();
    };
    const jobs = { enqueue: (queue: string) => note(queue)() };
    const erasures = { done: note('done'), goesOn: note('goes on') };
    const job = new MirrorEraseJob(
      jobs as never,
      { onDisconnect: () => undefined } as never,
      {} as never,
      erasures as never,
      syncers,
      clock,
    );
    return { job, clock, left, statements, said };
  }
  const GONE = { userId: 1, connectionId: '0190c7a0-0000-7000-8000-000000000000' };

  it('is done in one job where that has the time, members before the people and lists that they join', async () => {
    const { job, left, said, statements } = stage({ profiles: 7000, memberships: 3, events: 10 });
    await job.run(GONE);
    expect([...left.values()].every((rows) => rows === 0)).toBe(true);
    expect(said).toEqual(['done']);
    const order = [...new Set(statements.map(({ resource }) => resource))];
    expect(order).toEqual([...RESOURCES].reverse());
  });

  it('goes on in the next job where there is more than one has time for, a few thousand rows a statement', async () => {
    const { job, clock, left, said, statements } = stage({ events: 42_000 });
    await job.run(GONE);
    expect(clock.at).toBeLessThanOrEqual(60_000);
    expect(left.get('events')).toBeGreaterThan(0);
    expect(said).toEqual(['goes on', QUEUES.mirrorErase]);
    await job.run(GONE);
    expect(left.get('events')).toBe(0);
    expect(said.slice(2)).toEqual(['done']);
    expect(statements.every(({ limit }) => limit <= 5000)).toBe(true);
  });
});
