import { ApiPropertyOptional } from '@nestjs/swagger';
import { Allow } from 'class-validator';
import { Optional, Uuid } from './rules';

const CONNECTION = { format: 'uuid', description: "The Klaviyo connection; the user's default when unsaid" };

/** Base of request bodies (POST, PATCH, PUT). The scope guard has checked `userId`; use `@Scope()` to have it. */
export abstract class ScopedRequest {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'For whom: required from services, unless in the query or X-User-Id',
  })
  @Allow()
  userId?: number;

  @ApiPropertyOptional(CONNECTION)
  @Optional()
  @Uuid()
  connectionId?: string;
}

/** Base of the few queries that are about the user and no single connection (`GET /connect`). */
export abstract class UserQuery {
  @ApiPropertyOptional({
    type: 'string',
    pattern: '^[1-9][0-9]{0,15}$',
    description: 'For whom: required from services, unless in X-User-Id',
  })
  @Allow()
  userId?: string;
}

/** Base of queries (GET, DELETE). The scope guard has checked `userId`; use `@Scope()` to have it. */
export abstract class ScopedQuery extends UserQuery {
  @ApiPropertyOptional(CONNECTION)
  @Optional()
  @Uuid()
  connectionId?: string;
}
