import { Global, Module } from '@nestjs/common';
import type { Logger as Pino } from 'pino';
import { ENV, type Env } from '../config/env';
import { CallLog, PINO } from './call-log';
import { LogOutput, StandardOutput } from './log-output';
import { createPino, ServiceLogger } from './logger';
import { Redactor, secretsOf } from './redaction';

/** Structured, redacted logs. `app.useLogger(app.get(ServiceLogger))` sends Nest's own lines through them. */
@Global()
@Module({
  providers: [
    { provide: Redactor, inject: [ENV], useFactory: (env: Env) => new Redactor(secretsOf(env)) },
    { provide: LogOutput, useClass: StandardOutput },
    { provide: PINO, inject: [ENV, LogOutput, Redactor], useFactory: createPino },
    { provide: ServiceLogger, inject: [PINO], useFactory: (own: Pino) => new ServiceLogger(own) },
    CallLog,
  ],
  exports: [ServiceLogger, Redactor],
})
export class LoggingModule {}
