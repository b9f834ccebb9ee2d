import type { Clock } from '../common/clock';
import type { Halt } from './halt';
import type { PageWriter } from './page-writer';
import type { ReadPage } from './read-page';
import type { PassEnding } from './pass-ending';
import type { PassRecordsRepository } from './pass-records.repository';
import type { HeldRun } from './run-leases.repository';

/** What all who work on a slice of a run share. */
export interface SliceWork {
  readonly run: HeldRun;
  readonly halt: Halt;
  readonly clock: Clock;
  readonly writer: PageWriter<ReadPage>;
  readonly ending: PassEnding;
  readonly records: PassRecordsRepository;
  /** Epoch milliseconds until which a call may take. */
  readonly deadline: number;
  /** A transaction in which the run is certainly ours. @throws LeaseLost */
  readonly held: <T>(work: () => Promise<T>) => Promise<T>;
  /** Waits. @returns false when the slice ends before, or nobody has anything else to do for a while */
  readonly rest: (until: number) => Promise<boolean>;
  /** Waits while more urgent work does, within bounds. */
  readonly giveWay: () => Promise<void>;
  /** Something failed that is not one resource's: everybody stops. */
  readonly failed: (error: unknown) => void;
}
