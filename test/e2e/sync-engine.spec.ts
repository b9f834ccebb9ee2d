import { openSyncStage, resourceOf, type SyncStage } from './sync-engine-stage';

describe('the synchronisation engine', () => {
  let stage: SyncStage;
  beforeAll(async () => {
    stage = await openSyncStage();
  });
  afterAll(async () => {
    await stage.stop();
  });

  it('mirrors everything, row for row', async () => {
    const reader = await stage.someone({
      profiles: 2500,
      lists: [
        { name: 'Large', members: 3000 },
        ...Array.from({ length: 34 }, (_, n) => ({ name: `L${n}`, members: n })),
      ],
      segments: 3,
      campaigns: 12,
      events: 4000,
    });
    const sync = await stage.sync(reader);
    expect(sync.progress.resources.filter(({ status }) => status !== 'succeeded')).toEqual([]);
    expect(sync).toMatchObject({ status: 'succeeded', error: null, progress: { percent: 100 } });
    expect(await stage.differences(reader)).toEqual([]);
    expect(resourceOf(sync, 'profiles').fetched).toBeGreaterThanOrEqual(2500);
  }, 90_000);
});
