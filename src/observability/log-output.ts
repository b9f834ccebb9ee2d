import { createRequire } from 'node:module';
import { Inject, Injectable } from '@nestjs/common';
import { destination } from 'pino';
import type PinoPretty from 'pino-pretty';
import { ENV, type Env } from '../config/env';
import { RotatedFile } from './rotated-file';

/** Where finished, already redacted log lines go. A test gives Nest one that keeps them in memory. */
export abstract class LogOutput {
  /** @param line one JSON object and its newline. */
  abstract write(line: string): void;
  /** Called when the process is about to end. */
  abstract flush(): void;
}

interface LineStream {
  write(line: string): unknown;
}

/**
 * Writes lines to stdout, at once and in order, so that none is lost when the process ends; and, with `LOG_FILE`, to
 * a rotated file. `LOG_PRETTY` is for people at a terminal: stdout is coloured text, the file stays JSON.
 */
@Injectable()
export class StandardOutput extends LogOutput {
  private readonly stdout: LineStream;
  private readonly file: RotatedFile | undefined;

  constructor(@Inject(ENV) env: Env) {
    super();
    this.stdout = (env.logPretty ? prettyStdout() : undefined) ?? destination({ fd: 1, sync: true });
    if (env.logFile === undefined) return;
    const file = new RotatedFile({ file: env.logFile, maxSize: env.logFileMaxSize, keep: env.logFileKeep }, complain);
    this.file = file;
    process.once('exit', () => file.flush());
  }

  override write(line: string): void {
    this.stdout.write(line);
    this.file?.write(line);
  }

  override flush(): void {
    this.file?.flush();
  }
}

/** pino-pretty is a tool for development and absent from the image: undefined where it is not installed. */
function prettyStdout(): LineStream | undefined {
  try {
    const pretty = createRequire(__filename)('pino-pretty') as typeof PinoPretty;
    return pretty({ destination: 1, sync: true, ignore: 'service,role,pid', translateTime: false });
  } catch {
    complain('LOG_PRETTY is on but pino-pretty is not installed here: logging JSON');
    return undefined;
  }
}

/** Trouble of the log itself cannot go through the log. */
function complain(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}
