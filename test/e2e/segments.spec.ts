import { openStage, until, type Reader, type ReadsStage, type Row } from './reads-stage';

describe('get-segments', () => {
  let stage: ReadsStage;
  let reader: Reader;

  beforeAll(async () => {
    stage = await openStage();
    reader = await stage.connect(1, {
      profiles: 20,
      segments: Array.from({ length: 23 }, (_, index) => ({ name: `Segment É${String(index)}`, members: index })),
    });
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('gives every segment at once with the fields of the contract', async () => {
    const { status, body } = await reader.get('/get-segments');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      success: true,
      pagination: { limit: 1000, nextCursor: null, total: 23 },
      source: 'live',
      stale: false,
    });
    expect(body.segments).toHaveLength(23);
    expect(body.segments[0]).toEqual({
      id: expect.stringMatching(/^\w{6}$/),
      name: expect.stringContaining('Segment'),
      isActive: true,
      isProcessing: expect.any(Boolean),
      isStarred: expect.any(Boolean),
      createdAt: expect.stringMatching(/Z$/),
      updatedAt: expect.stringMatching(/Z$/),
    });
  });

  it('filters by name and walks by cursor to the same whole', async () => {
    const whole = ((await reader.get('/get-segments', { name: 'é1' })).body.segments as Row[]).map(({ id }) => id);
    expect(whole).toHaveLength(11);
    const pages = await reader.walk('/get-segments', 'segments', { limit: 3, name: 'é1' });
    expect(pages.flat().map(({ id }) => id)).toEqual(whole);
  });

  it('gives one by its id, and 404 for any other', async () => {
    const [first] = (await reader.get('/get-segments', { limit: 1 })).body.segments as Row[];
    const { body } = await reader.get(`/segments/${first!.id}`, { includeStats: true });
    expect(body.segment).toMatchObject({ id: first!.id, memberCount: expect.any(Number) });
    const unknown = await reader.get('/segments/Zz9Zz9');
    expect([unknown.status, unknown.body.code]).toEqual([404, 'SEGMENT_NOT_FOUND']);
    const other = await stage.connect(2, { segments: 1 });
    expect((await other.get(`/segments/${first!.id}`)).body.code).toBe('SEGMENT_NOT_FOUND');
  });

  it('knows no mirror yet, no unknown parameter and no list by that address', async () => {
    expect((await reader.get('/get-segments', { source: 'mirror' })).body.code).toBe('NOT_SYNCED');
    expect((await reader.get('/get-segments', { status: 'sent' })).body.errors).toEqual([
      { field: 'status', message: 'is not known here: remove it' },
    ]);
  });
});

describe('member counts of lists and segments', () => {
  let stage: ReadsStage;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('share one budget and one job: both come in time, and Klaviyo never has to refuse', async () => {
    const reader = await stage.connect(1, {
      limits: 'klaviyo',
      profiles: 10,
      lists: [
        { name: 'L1', members: 1 },
        { name: 'L2', members: 2 },
      ],
      segments: [
        { name: 'S3', members: 3 },
        { name: 'S4', members: 4 },
      ],
    });
    const counts = async () => {
      const [lists, segments] = await Promise.all([
        reader.get('/get-lists', { includeStats: true }),
        reader.get('/get-segments', { includeStats: true }),
      ]);
      return [...(lists.body.lists as Row[]), ...(segments.body.segments as Row[])];
    };
    const all = await until(counts, (rows) => rows.every(({ memberCount }) => memberCount !== null), 28_000);
    expect(all.map(({ name, memberCount }) => `${name} ${String(memberCount)}`).sort()).toEqual([
      'L1 1',
      'L2 2',
      'S3 3',
      'S4 4',
    ]);
    const asked = (await reader.requests()).filter(({ query }) => query.includes('profile_count'));
    expect(asked.length).toBeLessThanOrEqual(6);
    expect(asked.every(({ status }) => status === 200)).toBe(true);
    const waiting = () => stage.sql('SELECT 1 FROM member_count WHERE requested_at IS NOT NULL');
    await until(waiting, (rows) => rows.length === 0);
  });
});
