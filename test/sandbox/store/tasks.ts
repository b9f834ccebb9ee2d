/** What Klaviyo does later: jobs wait here and run when the sandbox's clock has passed their time. */
export class Tasks {
  private readonly waiting: { due: number; order: number; run: () => void }[] = [];
  private order = 0;

  /** Number of jobs that have not run. */
  get size(): number {
    return this.waiting.length;
  }

  /** Asks for a job at an instant of the sandbox's clock; at once is the next settling, never the same request. */
  at(due: number, run: () => void): void {
    this.order += 1;
    this.waiting.push({ due, order: this.order, run });
  }

  /** Runs what is due, in order of time. */
  settle(now: number): void {
    for (;;) {
      const due = this.waiting.filter((task) => task.due <= now);
      if (due.length === 0) return;
      due.sort((a, b) => a.due - b.due || a.order - b.order);
      for (const task of due) {
        this.waiting.splice(this.waiting.indexOf(task), 1);
        try {
          task.run();
        } catch (error) {
          // A job that fails must not take the program with it; it is said aloud, for it is a fault of the sandbox.
          process.stderr.write(
            `sandbox: a job failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
          );
        }
      }
    }
  }
}
