/** What the service uses of pino-roll, which ships no types. */
declare module 'pino-roll' {
  import type { EventEmitter } from 'node:events';

  interface RollOptions {
    file: string;
    size?: string;
    extension?: string;
    limit?: { count: number; removeOtherLogFiles?: boolean };
    mkdir?: boolean;
    mode?: number;
    sync?: boolean;
    /** Bytes held while the disk does not take them; what comes after is dropped. */
    maxLength?: number;
  }

  /** The SonicBoom that it gives back. */
  interface RolledStream extends EventEmitter {
    /** -1 until the file is open. */
    readonly fd: number;
    write(text: string): boolean;
    flush(done?: (error?: Error) => void): void;
    flushSync(): void;
    end(): void;
    destroy(): void;
  }

  export default function pinoRoll(options: RollOptions): Promise<RolledStream>;
}
