/** Calls whose latency is looked at: the quickest of them is Klaviyo's own, the rest is our queueing. */
const REMEMBERED = 24;
/** So many that whoever stores pages always has some, where Klaviyo takes no time. */
const FEWEST = 4;
const MOST = 16;
/** What a chain loses between two pages, and what a page that is slower than others costs. */
const RESERVE = 1.3;

/** How many windows of a resource are read side by side: as many as it takes to use the quota at the latency seen. */
export class Lanes {
  private readonly latencies: number[] = [];
  private steady = 0;

  /** @param atFirst as many as were read before, where a run goes on */
  constructor(private readonly atFirst: number) {}

  /** @param ms an answer took, without waiting for quota. @param steady calls a minute that Klaviyo allows */
  saw(ms: number, steady: number): void {
    this.latencies.push(ms);
    if (this.latencies.length > REMEMBERED) this.latencies.shift();
    this.steady = steady;
  }

  get wanted(): number {
    if (this.latencies.length === 0) return Math.min(MOST, Math.max(1, this.atFirst));
    return lanesFor(Math.min(...this.latencies), this.steady);
  }
}

/** @param ms latency of a page. @param steady calls a minute */
export function lanesFor(ms: number, steady: number): number {
  const busy = (ms / 1000) * (steady / 60);
  return Math.min(MOST, Math.max(FEWEST, Math.ceil(RESERVE * busy) + 1));
}
