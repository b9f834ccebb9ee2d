/** Starts within any stretch of a given length: never more than `capacity`, whatever the phase of Klaviyo's fixed windows. */
export class RollingWindow {
  private starts: number[];
  /** Where the starts that still count begin. */
  private first = 0;

  constructor(
    private readonly capacity: number,
    private readonly windowMs: number,
    earlier: readonly number[] = [],
  ) {
    this.starts = [...earlier];
  }

  /** When the next call but `ahead` others may start, if nothing else happens; with `keep`, some slots stay free. */
  freeAt(now: number, keep: boolean, ahead = 0): number {
    this.forget(now);
    const usable = this.capacity - (keep ? keptOf(this.capacity) : 0);
    const recent = Math.min(this.starts.length - this.first, usable);
    const place = ahead - (usable - recent);
    if (place < 0) return now;
    const turns = 1 + Math.floor(place / usable);
    const before = this.starts[this.starts.length - recent + (place % usable)] ?? now;
    return before + turns * this.windowMs;
  }

  take(now: number): void {
    this.starts.push(now);
  }

  idle(now: number): boolean {
    this.forget(now);
    return this.starts.length === this.first;
  }

  /** The same calls under another limit. */
  resized(capacity: number, windowMs: number): RollingWindow {
    return new RollingWindow(capacity, windowMs, this.starts.slice(this.first));
  }

  private forget(now: number): void {
    const oldest = now - this.windowMs;
    while (this.first < this.starts.length && (this.starts[this.first] ?? 0) <= oldest) this.first += 1;
    // Moving the rest is worth it only once much has gone.
    if (this.first < 1000 && this.first < this.starts.length) return;
    this.starts.splice(0, this.first);
    this.first = 0;
  }
}

/** The slots that background work leaves to interactive calls. */
function keptOf(capacity: number): number {
  if (capacity >= 20) return Math.ceil(capacity / 20);
  return capacity >= 4 ? 1 : 0;
}
