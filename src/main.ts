import 'reflect-metadata';
import { Logger, type LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module';
import type { Env } from './config/env';
import { collectSooner } from './config/garbage';
import { EnvError } from './config/env-reader';
import { readProcessEnv } from './config/process-env';
import { configure } from './configure';
import { isDatabaseDown } from './database/errors';
import { createAdapter } from './http/adapter';
import { stopService } from './http/stop';
import { ServiceLogger } from './observability/logger';
import { Redactor, secretsOf } from './observability/redaction';

/**
 * Until the service's own log stands. Only what the operator waits for (a database that is not up yet) is said: what
 * stops the start is said once, by `giveUp`, and not by every library on the way.
 */
class StartingLog implements LoggerService {
  warn(msg: unknown, context?: unknown): void {
    process.stdout.write(`${JSON.stringify({ level: 'warn', time: new Date().toISOString(), context, msg })}\n`);
  }
  log(): void {
    // Nothing to wait for.
  }
  error(): void {
    // Said by giveUp.
  }
}

async function start(): Promise<void> {
  collectSooner();
  const env = environment();
  try {
    await serve(env);
  } catch (error) {
    giveUp(new Redactor(secretsOf(env)).clean(sentenceOf(error, env)));
  }
}

async function serve(env: Env): Promise<void> {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, createAdapter(env), {
    bodyParser: false,
    logger: new StartingLog(),
    abortOnError: false,
  });
  app.useLogger(app.get(ServiceLogger));
  const logger = new Logger('Main');
  stopOnSignals(app, logger);
  await configure(app);
  await app.listen(env.port, env.host);
  for (const warning of env.warnings) logger.warn(warning);
  logger.log(`Listening on ${await app.getUrl()}`, { environment: env.nodeEnv });
}

function environment(): Env {
  try {
    return readProcessEnv();
  } catch (error) {
    return giveUp(error instanceof EnvError ? error.faults.join('\n') : String(error));
  }
}

function stopOnSignals(app: NestFastifyApplication, logger: Logger): void {
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    logger.log(`${signal}: stopping`);
    stopService(app)
      .catch((error: unknown) => logger.error('Stopping failed', { err: error }))
      .finally(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const crash = (error: unknown): void => {
    logger.fatal('Unhandled failure: stopping', { err: error });
    process.exit(1);
  };
  process.on('unhandledRejection', crash);
  process.on('uncaughtException', crash);
}

/** One sentence for the operator; never a password, a key or a stack. */
function sentenceOf(error: unknown, env: Env): string {
  const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error) };
  if (code === 'EADDRINUSE') return `${env.host}:${env.port} is taken by another program: set PORT to another port.`;
  if (code === 'EACCES') return `${env.host}:${env.port} may not be opened: set PORT to one above 1023.`;
  if (code === 'EADDRNOTAVAIL') return `HOST ${env.host} is no address of this machine.`;
  if (isDatabaseDown(error)) return 'PostgreSQL cannot be reached: check DATABASE_URL and that the database is up.';
  return `The service cannot start: ${message}`;
}

function giveUp(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

void start();
