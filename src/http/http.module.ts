import { Global, Module } from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { Clock, SystemClock } from '../common/clock';
import { Drain } from '../common/drain';
import { Precedence } from '../common/precedence';
import { Cursors } from '../common/page';
import { InputPipe } from '../common/validation.pipe';
import { EncryptionService } from '../encryption/encryption.service';
import { AnswerInterceptor } from './answer.interceptor';
import { ProblemFilter } from './error.filter';
import { OpenCalls } from './open-calls';
import { TableAnswers } from './table-answers';
import { UnexpectedInput } from './unexpected-input';

/** What every call passes on its way in and out, and the small services that all levels share. */
@Global()
@Module({
  providers: [
    { provide: APP_FILTER, useClass: ProblemFilter },
    { provide: APP_INTERCEPTOR, useClass: AnswerInterceptor },
    { provide: APP_PIPE, useClass: InputPipe },
    { provide: Clock, useClass: SystemClock },
    { provide: Cursors, inject: [EncryptionService], useFactory: (keys: EncryptionService) => new Cursors(keys) },
    Drain,
    OpenCalls,
    Precedence,
    TableAnswers,
    UnexpectedInput,
  ],
  exports: [Clock, Cursors, Drain, Precedence],
})
export class HttpModule {}
