import { Injectable } from '@nestjs/common';

/** What is done when connections of a user go. How the connection asks the levels above it without importing them. */
export interface OnDisconnect {
  /**
   * Runs inside the transaction that removes the rows (repositories join it), so it does database work only.
   * @param connectionIds the connections that go
   * @returns how many accepted events will not be sent any more, where there are such
   */
  onDisconnect(userId: number, connectionIds: readonly string[]): Promise<{ discardedEvents?: number } | undefined>;
}

/** Where higher levels register (in their constructor or `onModuleInit`) what a lower one calls. */
@Injectable()
export class Hooks {
  private readonly disconnect: OnDisconnect[] = [];

  registerOnDisconnect(hook: OnDisconnect): void {
    this.disconnect.push(hook);
  }

  /** Calls everyone in order of registration; one failure fails the whole. */
  async disconnected(userId: number, connectionIds: readonly string[]): Promise<{ discardedEvents: number }> {
    let discardedEvents = 0;
    for (const hook of this.disconnect) {
      const done = await hook.onDisconnect(userId, connectionIds);
      discardedEvents += done?.discardedEvents ?? 0;
    }
    return { discardedEvents };
  }
}
