import { resolve } from 'node:path';
import pinoRoll, { type RolledStream } from 'pino-roll';

export interface RotatedFileOptions {
  /** Where; a number is put before its extension (`service.log` becomes `service.1.log`, `service.2.log`, …). */
  file: string;
  /** When a file is full, such as `20m`. */
  maxSize: string;
  /** Full files kept beside the one being written. */
  keep: number;
}

const RETRY_MS = 30_000;
const COMPLAIN_MS = 60_000;
const MAX_WAITING_LINES = 1000;
const MAX_HELD_BYTES = 8 * 1024 * 1024;

/**
 * Writes log lines to a file that is rotated by size. Whatever happens to the disk, it never throws and never makes
 * the service wait: it complains at most once a minute, drops what does not fit its buffer, and opens anew later.
 */
export class RotatedFile {
  private stream: RolledStream | undefined;
  private opening = false;
  private retryAt = 0;
  private complainedAt = -Infinity;
  private waiting: string[] = [];

  constructor(
    private readonly options: RotatedFileOptions,
    private readonly complain: (sentence: string) => void,
  ) {}

  /** @param line one line with its newline. */
  write(line: string): void {
    if (this.stream) {
      this.guarded(() => this.stream?.write(line));
      return;
    }
    if (this.waiting.length < MAX_WAITING_LINES) this.waiting.push(line);
    if (!this.opening && Date.now() >= this.retryAt) void this.open();
  }

  /** Hands what is buffered to the system. */
  flush(): void {
    if (this.stream && this.stream.fd >= 0) this.guarded(() => this.stream?.flushSync());
  }

  private async open(): Promise<void> {
    this.opening = true;
    try {
      const stream = await pinoRoll({
        file: resolve(this.options.file),
        size: this.options.maxSize,
        limit: { count: this.options.keep, removeOtherLogFiles: true },
        mkdir: true,
        mode: 0o600,
        sync: false,
        maxLength: MAX_HELD_BYTES,
      });
      stream.on('error', (error) => this.failed(stream, error));
      stream.on('drop', () => this.say('LOG_FILE: the disk is too slow, log lines are missing from the file'));
      this.stream = stream;
      const lines = this.waiting;
      this.waiting = [];
      for (const line of lines) this.write(line);
    } catch (error) {
      this.failed(undefined, error);
    } finally {
      this.opening = false;
    }
  }

  private failed(stream: RolledStream | undefined, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
    this.say(`LOG_FILE cannot be written (${code}): check the folder, its rights and the space left on the disk`);
    // An open file keeps its buffer and tries again with the next line; one that never opened is given up.
    if (stream && stream.fd >= 0) return;
    if (stream === this.stream) this.stream = undefined;
    stream?.destroy();
    this.retryAt = Date.now() + RETRY_MS;
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.failed(this.stream, error);
    }
  }

  private say(sentence: string): void {
    if (Date.now() - this.complainedAt < COMPLAIN_MS) return;
    this.complainedAt = Date.now();
    this.complain(sentence);
  }
}
