import { setTimeout as wait } from 'node:timers/promises';
import { Body, Delete, Get, HttpCode, Module, Param, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Idempotent } from '../../src/auth/idempotency.interceptor';
import { Public, Scope, UserOptional, type OptionalUserScope, type UserScope } from '../../src/auth/user-scope';
import { ApiController, BodyLimit } from '../../src/common/controller';
import { AppError, type ErrorCode } from '../../src/common/errors';
import { currentContext } from '../../src/common/request-context';
import { Email, JsonObject, Optional, QueryInt, Text } from '../../src/common/rules';
import { ScopedQuery, ScopedRequest } from '../../src/common/scoped.dto';

/** What the handlers of the test module did, so that a spec can see that something was not done twice. */
export const done: string[] = [];

class EchoRequest extends ScopedRequest {
  @Optional()
  @Text({ max: 10_000_000 })
  name?: string;

  @Optional()
  @Email()
  email?: string;

  @Optional()
  @JsonObject({ maxDepth: 100 })
  data?: object;
}

class EchoQuery extends ScopedQuery {
  @Optional()
  @QueryInt({ min: 1 })
  size?: number;
}

class WorkRequest extends ScopedRequest {
  @Text()
  name: string;

  /** Milliseconds that the work takes. */
  @Optional()
  @JsonObject()
  options?: { takes?: number; fails?: ErrorCode; throws?: string };
}

/** Routes to try the edge by, made of the same parts as the service's own. */
@ApiController('try')
class TryController {
  @Post('echo')
  @HttpCode(200)
  echo(@Scope() scope: UserScope, @Body() body: EchoRequest): object {
    return { scope, body, context: currentContext() };
  }

  @Post('small')
  @BodyLimit(1024)
  small(@Body() body: EchoRequest): object {
    return { length: body.name?.length };
  }

  @Post('work')
  async work(@Body() body: WorkRequest): Promise<object> {
    const { takes = 0, fails, throws } = body.options ?? {};
    if (takes > 0) await wait(takes);
    done.push(body.name);
    if (fails) throw new AppError(fails, { retryAfter: 7 });
    if (throws !== undefined) throw new Error(throws);
    return { work: { name: body.name, number: done.length } };
  }

  @Post('work/:id/again')
  again(@Param('id') id: string): object {
    done.push(id);
    return { work: { id, number: done.length } };
  }

  @Post('read')
  @Idempotent(false)
  @HttpCode(200)
  read(@Body() body: EchoRequest): object {
    done.push(body.name ?? '');
    return { number: done.length };
  }

  @Get('query')
  query(@Scope() scope: UserScope, @Query() query: EchoQuery): object {
    return { userId: scope.userId, size: query.size };
  }

  @Get('none')
  none(@Scope() scope: UserScope): object {
    return { userId: scope.userId };
  }

  @Delete('none')
  remove(@Scope() scope: UserScope): object {
    return { userId: scope.userId };
  }

  @Get('anybody')
  @UserOptional()
  anybody(@Scope() scope: OptionalUserScope): object {
    return { userId: scope.userId ?? null };
  }

  @Get('open')
  @Public()
  open(): object {
    return { open: true };
  }

  @Get('table')
  table(@Res({ passthrough: true }) reply: FastifyReply): string {
    void reply.type('text/csv');
    return 'a,b\n1,2\n';
  }

  @Get('items/:id')
  item(@Param('id') id: string): object {
    return { id };
  }
}

@Module({ controllers: [TryController] })
export class TryModule {}
