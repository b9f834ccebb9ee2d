import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Callers } from './callers';
import { UserScopeGuard } from './user-scope.guard';
import { UserTokens } from './user-token';

/** Who calls and for whom. */
@Module({
  providers: [Callers, UserTokens, { provide: APP_GUARD, useClass: UserScopeGuard }],
  exports: [Callers],
})
export class AuthModule {}
