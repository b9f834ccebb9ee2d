import { Injectable } from '@nestjs/common';

/** Whether the process is on its way out, and who wants to know. */
@Injectable()
export class Drain {
  private readonly listeners: (() => void)[] = [];
  private begun = false;

  /** True from the stop signal on: ready says no, answers close their connection, workers take nothing new. */
  get draining(): boolean {
    return this.begun;
  }

  onBegin(listener: () => void): void {
    this.listeners.push(listener);
  }

  begin(): void {
    if (this.begun) return;
    this.begun = true;
    for (const listener of this.listeners) listener();
  }
}
