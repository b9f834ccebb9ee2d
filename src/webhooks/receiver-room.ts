import { AppError } from '../common/errors';

/** So much of each body is taken whatever the others hold: an ordinary delivery gets through. */
const FREE_BYTES = 64 * 1024;
const RETRY_SECONDS = 5;

/** Bounds what one process holds of bodies that nobody has signed yet, in all and of one address. */
export class ReceiverRoom {
  private held = 0;
  private readonly byAddress = new Map<string, number>();

  constructor(
    private readonly most = 128 * 1024 * 1024,
    private readonly mostOfAddress = 64 * 1024 * 1024,
  ) {}

  /** The room of one body, given back by `leave`. */
  enter(address: string): BodyRoom {
    let size = 0;
    let counted = 0;
    return {
      add: (bytes) => {
        size += bytes;
        const more = Math.max(0, size - FREE_BYTES) - counted;
        if (more === 0) return;
        const ofAddress = this.byAddress.get(address) ?? 0;
        if (this.held + more > this.most || ofAddress + more > this.mostOfAddress)
          throw new AppError('SERVICE_UNAVAILABLE', { retryAfter: RETRY_SECONDS, reason: 'too many bodies are held' });
        counted += more;
        this.held += more;
        this.byAddress.set(address, ofAddress + more);
      },
      leave: () => {
        if (counted === 0) return;
        this.held -= counted;
        const left = (this.byAddress.get(address) ?? 0) - counted;
        if (left > 0) this.byAddress.set(address, left);
        else this.byAddress.delete(address);
        counted = 0;
      },
    };
  }
}

/** What one body takes of the room. */
export interface BodyRoom {
  /** @throws AppError SERVICE_UNAVAILABLE where there is no room for so many more bytes */
  add(bytes: number): void;
  leave(): void;
}
