import { randomUUID } from 'node:crypto';
import { LeaseLost, PagesUndone } from '../../src/sync/sync-faults';
import { gated, openRunPagesStage, REFUSED, type RunPagesStage } from './run-pages-stage';

/** Commits of a run's pages, one of them on its way behind the other. */
describe('the pages of a run', () => {
  let stage: RunPagesStage;

  const open = async (runs?: number): Promise<void> => {
    stage = await openRunPagesStage(runs);
  };
  afterEach(() => stage.stop());

  const store = (...given: Parameters<RunPagesStage['page']>) => stage.pages.store([stage.page(...given)]);
  /** Called where what comes first cannot end before the gate is open. */
  const behind = async (gate: number, sent: Promise<void>, next: () => Promise<void>): Promise<Promise<void>[]> => {
    await stage.waitsAt(gate);
    const both = [sent, next()];
    for (const one of both) one.catch(() => undefined);
    return both;
  };

  it('are stored in the order of the calls, with what is written down of them', async () => {
    await open();
    const gate = await stage.shut(1);
    const { pages, page } = stage;
    const first = pages.store([page('profiles', 'c1', [gated(1), 'a']), page('profiles', 'c2', ['b'])]);
    const both = await behind(1, first, () =>
      pages.store([page('profiles', 'c3', ['a', 'c']), page('events', 'e1', ['x'])]),
    );
    await gate.open();
    await Promise.all(both);
    expect(await stage.kept('profiles')).toEqual([gated(1), 'a', 'b', 'c']);
    expect(await stage.kept('events')).toEqual(['x']);
    // "a" came twice, and is new once.
    expect(await stage.standing('profiles')).toEqual({ fetched: 5, upserted: 4, quarantined: 0, pages: 3 });
    expect(await stage.cursor('profiles')).toBe('c3');
    expect(await stage.log('profiles')).toEqual([
      { rows: 2, upserted: null, quarantined: 0 },
      { rows: 1, upserted: 3, quarantined: 0 },
      { rows: 2, upserted: 1, quarantined: 0 },
    ]);
    expect(await stage.log('events')).toEqual([{ rows: 1, upserted: 1, quarantined: 0 }]);
  });

  it('travel behind those that are under way, on one connection', async () => {
    await open(1);
    const gates = [await stage.shut(1), await stage.shut(2)];
    const both = await behind(1, store('profiles', 'c1', [gated(1)]), () => store('profiles', 'c2', [gated(2)]));
    await gates[0]?.open();
    await both[0];
    // The second is in PostgreSQL without anything that came after the end of the first having been waited for.
    await stage.waitsAt(2);
    await gates[1]?.open();
    await both[1];
    expect(await stage.cursor('profiles')).toBe('c2');
  });

  it('are stored but for rows that the database refuses, and those behind them after that', async () => {
    await open();
    const gate = await stage.shut(1);
    const both = await behind(1, store('profiles', 'c1', [gated(1), 'a', REFUSED, 'b']), () =>
      store('profiles', 'c2', ['c', 'd']),
    );
    await gate.open();
    await Promise.all(both);
    expect(await stage.kept('profiles')).toEqual([gated(1), 'a', 'b', 'c', 'd']);
    expect(await stage.standing('profiles')).toEqual({ fetched: 6, upserted: 5, quarantined: 1, pages: 2 });
    expect(await stage.cursor('profiles')).toBe('c2');
    expect((await stage.log('profiles')).map(({ quarantined }) => quarantined)).toEqual([1, 0]);
  });

  it('are stored though those behind them hold a row that is refused', async () => {
    await open();
    const gate = await stage.shut(1);
    const both = await behind(1, store('profiles', 'c1', [gated(1)]), () => store('profiles', 'c2', [REFUSED, 'b']));
    await gate.open();
    await Promise.all(both);
    expect(await stage.kept('profiles')).toEqual([gated(1), 'b']);
    expect(await stage.standing('profiles')).toEqual({ fetched: 3, upserted: 2, quarantined: 1, pages: 2 });
  });

  it('do not come between pages that failed and what of them is stored after that', async () => {
    await open(3);
    const [gate, other] = [await stage.shut(1), await stage.shut(2)];
    const failing = store('profiles', 'c1', [gated(1), REFUSED]);
    await stage.waitsAt(1);
    const events = store('events', 'e1', [gated(2)]);
    // Next in the line at the first gate: shut again as soon as those that fail are through.
    const again = stage.shut(1);
    await gate.open();
    const shut = await again;
    const last = store('profiles', 'c2', ['b']);
    await other.open();
    await events;
    await stage.waitsAt(1);
    await shut.open();
    await Promise.all([failing, last]);
    expect(await stage.kept('profiles')).toEqual([gated(1), 'b']);
    expect(await stage.kept('events')).toEqual([gated(2)]);
    expect(await stage.cursor('profiles')).toBe('c2');
    expect(await stage.standing('profiles')).toEqual({ fetched: 3, upserted: 2, quarantined: 1, pages: 2 });
  });

  it('wait for those before them where they are stored step by step, and those behind for them', async () => {
    await open();
    const gate = await stage.shut(1);
    const both = await behind(1, store('profiles', 'c1', [gated(1), 'a']), () =>
      stage.pages.store([stage.page('lists', 'l1', ['x', 'y']), stage.page('profiles', 'c2', ['b'])]),
    );
    const last = store('profiles', 'c3', ['c']);
    await gate.open();
    await Promise.all([...both, last]);
    expect(await stage.kept('profiles')).toEqual([gated(1), 'a', 'b', 'c']);
    expect(await stage.kept('lists')).toEqual(['x', 'y']);
    expect(await stage.cursor('profiles')).toBe('c3');
    expect(await stage.standing('lists')).toEqual({ fetched: 2, upserted: 2, quarantined: 0, pages: 1 });
    expect(await stage.standing('profiles')).toEqual({ fetched: 4, upserted: 4, quarantined: 0, pages: 3 });
  });

  it('leave nothing once another worker has the run', async () => {
    await open();
    const gate = await stage.shut(1);
    const both = await behind(1, store('profiles', 'c1', [gated(1)]), () => store('profiles', 'c2', ['b']));
    await stage.sql('UPDATE sync_run SET lease = $1', [randomUUID()]);
    await gate.open();
    for (const one of both) await expect(one).rejects.toBeInstanceOf(LeaseLost);
    await expect(stage.pages.store([stage.page('lists', 'l1', ['x'])])).rejects.toBeInstanceOf(LeaseLost);
    expect([await stage.kept('profiles'), await stage.kept('lists')]).toEqual([[], []]);
    expect(await stage.standing('profiles')).toMatchObject({ fetched: 0, pages: 0 });
    expect(await stage.cursor('profiles')).toBeNull();
  });

  it('leave nothing where the connection is gone', async () => {
    await open();
    await stage.sql('DELETE FROM connection');
    await expect(store('profiles', 'c1', ['a'])).rejects.toBeInstanceOf(LeaseLost);
    expect(await stage.kept('profiles')).toEqual([]);
  });

  it('are not stored where PostgreSQL lost some before them, whoever is behind', async () => {
    await open();
    await store('profiles', 'c1', ['a']);
    // As after a breakdown: the last commit is not there.
    await stage.sql('UPDATE sync_resource SET pages = 0');
    const gate = await stage.shut(1);
    const both = await behind(1, store('profiles', 'c2', [gated(1)]), () => store('profiles', 'c3', ['c']));
    await gate.open();
    for (const one of both) await expect(one).rejects.toBeInstanceOf(PagesUndone);
    expect(await stage.kept('profiles')).toEqual(['a']);
    expect(await stage.cursor('profiles')).toBe('c1');
  });

  it('say when somebody asked the run to end', async () => {
    await open();
    await store('profiles', 'c1', ['a']);
    expect(stage.cancelled()).toBe(0);
    await stage.sql('UPDATE sync_run SET cancel_requested_at = now()');
    await store('profiles', 'c2', ['b']);
    expect(stage.cancelled()).toBe(1);
    await store('lists', 'l1', ['b']);
    expect(stage.cancelled()).toBe(2);
  });

  it.each([0, 1, 2, 3, 4, 5])(
    'keep their order whoever comes just when a connection is there: %d turns later',
    async (turns) => {
      await open();
      const { transactions } = stage;
      const line = transactions.line.bind(transactions);
      let next: Promise<void> | undefined;
      const after = async (left: number): Promise<void> => {
        for (let turn = 0; turn < left; turn++) await Promise.resolve();
        next = store('profiles', 'c2', ['b']);
      };
      transactions.line = async (userId) => {
        const taken = await line(userId);
        transactions.line = line;
        void after(turns);
        return taken;
      };
      await store('profiles', 'c1', ['a']);
      await next;
      expect(await stage.kept('profiles')).toEqual(['a', 'b']);
      expect(await stage.cursor('profiles')).toBe('c2');
      expect(await stage.standing('profiles')).toEqual({ fetched: 2, upserted: 2, quarantined: 0, pages: 2 });
    },
  );

  it('give the connection to others who wait for one', async () => {
    await open(1);
    const gate = await stage.shut(1);
    const order: string[] = [];
    const ended = (name: string) => () => void order.push(name);
    const first = store('profiles', 'c1', [gated(1)]).then(ended('first'));
    await stage.waitsAt(1);
    const other = stage.transactions.run(stage.run.userId, () => Promise.resolve()).then(ended('other'));
    const next = store('profiles', 'c2', ['b']).then(ended('next'));
    await gate.open();
    await Promise.all([first, other, next]);
    expect(order.indexOf('other')).toBeLessThan(order.indexOf('next'));
    expect(await stage.cursor('profiles')).toBe('c2');
  });

  it('keep no connection where their rows cannot be taken apart', async () => {
    await open(1);
    const failure = new Error('no statement of it');
    const page = stage.page('profiles', 'c1', ['a']);
    page.of.syncer.statements = () => {
      throw failure;
    };
    await expect(stage.pages.store([page])).rejects.toBe(failure);
    await stage.transactions.run(stage.run.userId, () => Promise.resolve());
    await store('lists', 'l1', ['x']);
    expect(await stage.kept('lists')).toEqual(['x']);
  });
});
