import { ApiProperty } from '@nestjs/swagger';
import { UserQuery } from '../common/scoped.dto';
import type { OperationUsage } from '../klaviyo/klaviyo-usage';

export class UsageQuery extends UserQuery {}

class LastErrorResponse {
  /** The code that the call was answered with. */
  code: string;
  at: Date;
}

class OperationUsageResponse implements OperationUsage {
  /** An endpoint of Klaviyo's, or a second budget that several share: `predictive_analytics`, `profile_count`, `profile_include`. */
  operation: string;
  /** Calls that Klaviyo allows the account in a second; what Klaviyo itself said last, else what it publishes. */
  @ApiProperty({ type: 'integer' })
  burst: number;
  /** In a minute. */
  @ApiProperty({ type: 'integer' })
  steady: number;
  /** In a day; null where Klaviyo counts none. */
  @ApiProperty({ type: 'integer', nullable: true })
  daily: number | null;
  /** Calls of this connection in the last minute. */
  @ApiProperty({ type: 'integer' })
  used: number;
  /** Everything else seen in the last minute: other users of the account here, and what other integrations were found to take. */
  @ApiProperty({ type: 'integer' })
  otherUse: number;
  /** Calls that may still start in this minute (and day), within `KLAVIYO_RATE_LIMIT_SHARE`; 0 while Klaviyo refuses. */
  @ApiProperty({ type: 'integer' })
  left: number;
  /** Calls of this connection that wait for quota now. */
  @ApiProperty({ type: 'integer' })
  waiting: number;
  /** 429s that this connection's calls met today (UTC). */
  @ApiProperty({ type: 'integer' })
  throttled: number;
  /** Of the account: `open` while Klaviyo does not answer and nothing is sent, `half_open` while one call tries. */
  @ApiProperty({ enum: ['closed', 'open', 'half_open'] })
  circuit: OperationUsage['circuit'];
  /** The last failure of this connection's calls within two days; what is not there or there already is none. */
  @ApiProperty({ type: LastErrorResponse, nullable: true })
  lastError: LastErrorResponse | null;
}

export class UsageResponse {
  usage: OperationUsageResponse[];

  static from(usage: readonly OperationUsage[]): UsageResponse {
    return {
      usage: usage.map((item) => ({
        operation: item.operation,
        burst: item.burst,
        steady: item.steady,
        daily: item.daily,
        used: item.used,
        otherUse: item.otherUse,
        left: item.left,
        waiting: item.waiting,
        throttled: item.throttled,
        circuit: item.circuit,
        lastError: item.lastError && { code: item.lastError.code, at: item.lastError.at },
      })),
    };
  }
}
