import { PinoLogger, Logger as NestPinoLogger } from 'nestjs-pino';
import { pino, stdTimeFunctions, type Logger as Pino } from 'pino';
import { currentContext } from '../common/request-context';
import type { Env } from '../config/env';
import { describeError } from './log-errors';
import { FieldFilter } from './log-fields';
import type { LogOutput } from './log-output';
import type { Redactor } from './redaction';

/**
 * The one writer of log lines: JSON, level as a word, time as RFC 3339, the ids of the call under way on every line,
 * fields filtered by name and the finished line by value.
 */
export function createPino(env: Pick<Env, 'logLevel' | 'role'>, output: LogOutput, redactor: Redactor): Pino {
  const fields = new FieldFilter(redactor);
  return pino(
    {
      level: env.logLevel,
      base: { service: 'klaviyo', role: env.role, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      messageKey: 'msg',
      formatters: {
        level: (label) => ({ level: label }),
        bindings: (bindings) => fields.filter(bindings),
        log: (object) => fields.filter(object),
      },
      // The filter above has described errors already; pino's own serialiser would copy whatever hangs on them.
      serializers: { err: (value: unknown) => value },
      mixin: contextFields,
    },
    { write: (line: string) => output.write(redactor.clean(line)) },
  );
}

/** The ids of the call (or job) under way; none outside of one. */
function contextFields(): Record<string, unknown> {
  const context = currentContext();
  if (!context) return {};
  return { requestId: context.requestId, userId: context.userId, connectionId: context.connectionId };
}

/** nestjs-pino keeps one logger a process; this binds it to the logger of its own application. */
class OwnPinoLogger extends PinoLogger {
  constructor(private readonly own: Pino) {
    super({ pinoHttp: { logger: own } });
  }

  override get logger(): Pino {
    return this.own;
  }
}

/**
 * Nest's own Logger, written through pino. `new Logger('Sync').warn('Page refused', { operation, status })` becomes one
 * line with `context`, `msg`, `operation` and `status`; an Error anywhere among the arguments becomes `err`.
 */
export class ServiceLogger extends NestPinoLogger {
  constructor(own: Pino) {
    super(new OwnPinoLogger(own), {});
  }

  override verbose(message: unknown, ...rest: unknown[]): void {
    super.verbose(...toLine(message, rest));
  }
  override debug(message: unknown, ...rest: unknown[]): void {
    super.debug(...toLine(message, rest));
  }
  override log(message: unknown, ...rest: unknown[]): void {
    const [fields, context] = toLine(message, rest);
    if (context !== undefined && BOOT_CONTEXTS.has(context)) super.debug(fields, context);
    else super.log(fields, context);
  }
  override warn(message: unknown, ...rest: unknown[]): void {
    super.warn(...toLine(message, rest));
  }
  override error(message: unknown, ...rest: unknown[]): void {
    super.error(...toLine(message, rest));
  }
  override fatal(message: unknown, ...rest: unknown[]): void {
    super.fatal(...toLine(message, rest));
  }
}

/** Nest says each module and route at start: worth reading when looking for something, not at every start. */
const BOOT_CONTEXTS: ReadonlySet<string> = new Set(['InstanceLoader', 'RoutesResolver', 'RouterExplorer']);

/** Nest's loose arguments (message, objects, stack, context last) as one object and the context. */
function toLine(message: unknown, rest: readonly unknown[]): [Record<string, unknown>, string | undefined] {
  const args = [...rest];
  const last = args.at(-1);
  const context = typeof last === 'string' && !isStack(last) ? last : undefined;
  if (context !== undefined) args.pop();
  const fields: Record<string, unknown> = {};
  const texts: string[] = [];
  for (const arg of [message, ...args]) {
    if (arg instanceof Error) fields.err ??= arg;
    else if (typeof arg === 'string' && arg !== message && isStack(arg)) fields.err ??= fromStack(String(message), arg);
    else if (typeof arg === 'object' && arg !== null) Object.assign(fields, Array.isArray(arg) ? { items: arg } : arg);
    else if (typeof arg === 'string') texts.push(arg);
    else if (typeof arg === 'number' || typeof arg === 'boolean') texts.push(String(arg));
  }
  const { err } = fields;
  // Said here, or pino would take the error's own message, which may quote a caller's values.
  if (texts.length > 0) fields.msg = texts.join(' ');
  else if (err instanceof Error) fields.msg ??= describeError(err).message;
  return [fields, context];
}

function isStack(text: string): boolean {
  return /\n\s*at /.test(text);
}

function fromStack(message: string, stack: string): Error {
  const error = new Error(message);
  error.stack = stack;
  return error;
}
