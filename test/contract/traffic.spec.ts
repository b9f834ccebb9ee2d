import { REVISIONS } from '../../src/config/env';
import { operations } from '../../src/klaviyo/operations';
import { servedAs } from '../../src/klaviyo/revisions';
import { sentences } from './checks/difference';
import { readDifferences, vanished } from './checks/reads';
import { TrafficCheck } from './checks/traffic';
import { report, withFiles } from './report';
import { collect, settingsOf, TODAY, type Traffic } from './traffic/run';
import { callersByOperation, touchFor } from './traffic/sources';

/**
 * Operations of the table that no feature calls yet. Whoever calls one adds the call to the story
 * (test/contract/traffic/story.ts) and takes it out here; both are checked below.
 */
const UNCALLED: Readonly<Record<string, string>> = {
  createProfile: 'contacts are created by upsertProfile, which also updates',
  getProfileSegments: 'no answer shows the segments of a person',
  bulkImportProfiles: 'the import of profiles is not built yet',
  getBulkImportJob: 'the import of profiles is not built yet',
  getBulkImportJobErrors: 'the import of profiles is not built yet',
  requestProfileDeletion: 'erasure is not built yet',
  unsubscribeProfiles: 'unsubscribing is not built yet',
  suppressProfiles: 'suppressing is not built yet',
  unsuppressProfiles: 'suppressing is not built yet',
  getListProfileIds: 'members are read with the time they joined',
  getSegmentProfileIds: 'members are read with the time they joined',
  getCampaignMessages: 'a campaign is read with its messages in one call',
  queryMetricAggregates: 'figures of campaigns come from the reports',
  getEvent: 'events are read in pages, for the probe of access alone so far',
  bulkCreateEvents: 'events are sent one by one so far',
  getTags: 'tags live in the properties of profiles',
};

const settings = settingsOf(REVISIONS);
const servedToday = (base: string) => servedAs(base, TODAY);
const table: Readonly<Record<string, (typeof operations)[keyof typeof operations]>> = operations;

withFiles('what goes over the line', (specifications) => {
  const callers = callersByOperation();
  const check = new TrafficCheck(specifications, (method, path) => touchFor(callers, method, path));
  let all: Traffic[] = [];

  beforeAll(async () => {
    all = await collect(settings);
  }, 120_000);

  describe.each(settings.map(({ name }, index) => [name, index] as const))('under %s', (name, index) => {
    it('each call of the service is one that the file of the answering revision allows', () => {
      const { own, called } = all[index]!;
      expect(own.length).toBeGreaterThan(100);
      report(`${name}: ${own.length} calls of ${called.size} operations checked`);
      expect(sentences(own.flatMap((exchange) => check.request(exchange)))).toEqual([]);
    });

    it('each answer of the sandbox is one that Klaviyo could give', () => {
      const { exchanges } = all[index]!;
      report(`${name}: ${exchanges.length} answers of the sandbox checked`);
      expect(sentences(exchanges.flatMap((exchange) => check.answer(exchange)))).toEqual([]);
    });

    it('each field that the mapping reads is in the answers of some revision', () => {
      const reads = [...all[index]!.reads];
      const count = reads.reduce((sum, [, paths]) => sum + paths.size, 0);
      expect(count).toBeGreaterThan(50);
      report(`${name}: ${count} fields read of answers`);
      const differences = reads.flatMap(([operation, paths]) =>
        readDifferences(specifications, table[operation]!, paths, (callers.get(operation) ?? []).join(' or ')),
      );
      expect(sentences(differences)).toEqual([]);
    });

    it('every call names its revision, one that was checked', () => {
      const { base } = settings[index]!;
      const sent = new Set(all[index]!.own.map((exchange) => exchange.sent));
      const checked: readonly string[] = REVISIONS;
      expect([...sent].filter((revision) => !checked.includes(revision))).toEqual([]);
      expect([...sent].every((revision) => revision >= base)).toBe(true);
    });
  });

  // Files that somebody added to see what a revision would mean: the service cannot be set to it yet.
  const offered: readonly string[] = REVISIONS;
  for (const added of specifications.filter(({ revision }) => !offered.includes(revision))) {
    const base = REVISIONS.findLast((revision) => revision < added.revision) ?? REVISIONS[0];
    const traffic = () => all.find(({ setting }) => setting.name === base)!;

    it(`each call under ${base} would be allowed by ${added.revision} too`, () => {
      const exchanges = traffic().own.filter(({ served }) => served === servedToday(base));
      report(`${added.revision}: ${exchanges.length} calls of ${base} held against it`);
      expect(
        sentences(exchanges.flatMap((exchange) => check.request({ ...exchange, served: added.revision }))),
      ).toEqual([]);
    });

    it(`each field that is read under ${base} is still there in ${added.revision}`, () => {
      const known = specifications.find(({ revision }) => revision === servedToday(base))!;
      const differences = [...traffic().reads].flatMap(([operation, paths]) =>
        vanished(known, added, table[operation]!, paths, (callers.get(operation) ?? []).join(' or ')),
      );
      expect(sentences(differences)).toEqual([]);
    });
  }

  it('today a call under 2023-10-15 is answered as 2025-01-15', () => {
    const old = all[0]!.own.filter(({ sent }) => sent === '2023-10-15');
    expect(old.length).toBeGreaterThan(50);
    expect(new Set(old.map(({ served }) => served))).toEqual(new Set(['2025-01-15']));
  });

  it('the same is called in every setting: nothing fails unseen', () => {
    const newest = specifications.at(-1)!;
    const operationsOf = ({ own }: Traffic) =>
      [...new Set(own.map(({ method, path }) => newest.ofPath(method, path)?.id))].sort();
    for (const traffic of all) expect(operationsOf(traffic)).toEqual(operationsOf(all[0]!));
  });

  it('calls every operation of the table, but for those that are listed with the reason', () => {
    const called = new Set(all.flatMap((traffic) => [...traffic.called]));
    const missed = Object.keys(operations).filter((name) => !called.has(name));
    expect(missed.sort()).toEqual(Object.keys(UNCALLED).sort());
  });

  it('lists no operation as uncalled that a file of ours calls: the story has to play it', () => {
    const unplayed = Object.keys(UNCALLED).flatMap((name) =>
      (callers.get(name) ?? []).map((file) => `${file} calls ${name}: add it to test/contract/traffic/story.ts`),
    );
    expect(unplayed).toEqual([]);
  });
});
