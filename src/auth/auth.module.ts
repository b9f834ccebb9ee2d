import { Module } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { ThrottlerModule } from '@nestjs/throttler';
import { ENV, type Env } from '../config/env';
import { Callers } from './callers';
import { IdempotencyInterceptor } from './idempotency.interceptor';
import { IdempotencyRepository } from './idempotency.repository';
import { IdempotencySweep } from './idempotency.sweep';
import { IdempotencySystemRepository } from './idempotency.system.repository';
import { ThrottleModule } from './throttle.module';
import { UserThrottlerGuard } from './throttle.guard';
import { ThrottleStorage } from './throttle.storage';
import { UserScopeGuard } from './user-scope.guard';
import { UserTokens } from './user-token';

/** Who calls, for whom, how often, and what was answered to the same request before. */
@Module({
  imports: [
    ThrottlerModule.forRootAsync({
      imports: [ThrottleModule],
      inject: [ENV, ThrottleStorage],
      useFactory: (env: Env, storage: ThrottleStorage) => ({
        throttlers: [{ limit: env.throttleLimit, ttl: env.throttleTtlSeconds * 1000 }],
        storage,
      }),
    }),
  ],
  providers: [
    Callers,
    UserTokens,
    // Guards run in this order: the budget is counted for a user that is known.
    { provide: APP_GUARD, useClass: UserScopeGuard },
    { provide: APP_GUARD, useClass: UserThrottlerGuard },
    IdempotencyInterceptor,
    { provide: APP_INTERCEPTOR, useExisting: IdempotencyInterceptor },
    IdempotencyRepository,
    IdempotencySystemRepository,
    IdempotencySweep,
  ],
  exports: [Callers, IdempotencyInterceptor, IdempotencyRepository],
})
export class AuthModule {}
