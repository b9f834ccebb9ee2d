import { Readable } from 'node:stream';

/** What is not read by then is not added to: the next event says it all again. */
const FULL_BYTES = 64 * 1024;

/** Server-sent events as a stream of bytes. */
export class EventStream {
  private readonly onClosed: (() => void)[] = [];
  private open = true;

  readonly readable = new Readable({
    read: () => undefined,
    destroy: (error, done) => {
      this.closed();
      done(error);
    },
  });

  constructor() {
    this.readable.once('end', () => this.closed());
  }

  /** Once, however it ends: by us, or because the other side is gone. */
  onClose(listener: () => void): void {
    this.onClosed.push(listener);
  }

  /** How long to wait before coming back when the line breaks. */
  retry(ms: number): void {
    this.push(`retry: ${String(ms)}\n\n`);
  }

  /** @returns false when the other side does not read: nothing was sent */
  event(name: string, data: object, id?: string): boolean {
    return this.push(`event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
  }

  /** Says that the line is alive. */
  heartbeat(): void {
    this.push(': heartbeat\n\n');
  }

  end(): void {
    if (!this.open) return;
    this.readable.push(null);
    this.closed();
  }

  private push(text: string): boolean {
    if (!this.open || this.readable.readableLength > FULL_BYTES) return false;
    this.readable.push(text);
    return true;
  }

  private closed(): void {
    if (!this.open) return;
    this.open = false;
    for (const listener of this.onClosed) listener();
  }
}
