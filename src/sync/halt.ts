/**
 * Why a slice goes no further: its time is over, the process stops, somebody asked the run to end, the key was refused,
 * another worker has the run, or something failed that is not one resource's.
 */
export type HaltReason = 'time' | 'drain' | 'cancel' | 'key' | 'lost' | 'failure';

/** Tells everybody who works on a slice to stop, once, and why. */
export class Halt {
  private because: HaltReason | undefined;
  private readonly listeners = new Set<() => void>();

  get reason(): HaltReason | undefined {
    return this.because;
  }

  get halted(): boolean {
    return this.because !== undefined;
  }

  /** The first reason stays, but for the loss of the run: whoever lost it must write nothing more. */
  halt(reason: HaltReason): void {
    if (this.because !== undefined && reason !== 'lost') return;
    this.because = reason;
    for (const listener of [...this.listeners]) listener();
  }

  /** One that stops with this one, or earlier for a reason of its own. Let go with `release`. */
  child(): Halt & { release: () => void } {
    const child = new Halt();
    const forward = (): void => {
      if (this.because) child.halt(this.because);
    };
    forward();
    return Object.assign(child, { release: this.onHalt(forward) });
  }

  /** @returns takes the listener back */
  onHalt(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Resolves after the time, or at once when everybody stops. */
  async sleep(ms: number): Promise<void> {
    if (this.halted) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        forget();
        resolve();
      };
      const timer = setTimeout(wake, ms);
      const forget = this.onHalt(wake);
    });
  }
}

/** Wakes all who wait for something to have changed. */
export class Signal {
  private waiting: (() => void)[] = [];

  /** Resolves at the next `fire`. */
  wait(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  fire(): void {
    const woken = this.waiting;
    this.waiting = [];
    for (const wake of woken) wake();
  }
}
