import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Bool, Exactly, Label, Nullable, Optional, PrivateKey, PublicKey, QueryBool } from '../common/rules';
import { ScopedQuery, ScopedRequest, UserQuery } from '../common/scoped.dto';
import { AREAS, type Capabilities, type Capability } from './capabilities';
import type { Connection, ConnectionStatus } from './connection.entity';
import type { Connected, ConnectWarning } from './connection.service';

export class ConnectRequest extends ScopedRequest {
  /** A private API key of the Klaviyo account (`pk_…`); it needs at least `accounts:read`. */
  @PrivateKey()
  privateApiKey: string;

  /** The account's public API key; only compared with what Klaviyo says. */
  @Optional()
  @PublicKey()
  publicApiKey?: string;

  /** A name for people. */
  @Optional()
  @Nullable()
  @Label({ max: 100 })
  label?: string | null;

  /** Whether calls without `connectionId` go to this account from now on. */
  @Optional()
  @Bool()
  isDefault?: boolean;
}

export class ConnectQuery extends UserQuery {
  /** Asks Klaviyo again whether the keys still work (at most once a minute each). */
  @Optional()
  @QueryBool()
  validate?: boolean;
}

export class DisconnectQuery extends ScopedQuery {}

export class UpdateConnectionRequest extends ScopedRequest {
  /** A name for people; null removes it. */
  @Optional()
  @Nullable()
  @Label({ max: 100 })
  label?: string | null;

  /** `true` makes this the connection of calls that name none. */
  @Optional()
  @Exactly(true)
  isDefault?: true;

  /** A new key of the same Klaviyo account. */
  @Optional()
  @PrivateKey()
  privateApiKey?: string;
}

const CAPABILITY = { enum: ['ok', 'scope_missing', 'plan_required', 'unknown'] };

class AccessResponse {
  /** Absent where Klaviyo has nothing to read. */
  @ApiPropertyOptional(CAPABILITY)
  read?: Capability;

  /** `unknown` until a first write. */
  @ApiProperty(CAPABILITY)
  write: Capability;
}

class CapabilitiesResponse implements Capabilities {
  profiles: AccessResponse;
  lists: AccessResponse;
  segments: AccessResponse;
  campaigns: AccessResponse;
  metrics: AccessResponse;
  events: AccessResponse;
  webhooks: AccessResponse;
  subscriptions: AccessResponse;
  dataPrivacy: AccessResponse;
}

export class ConnectionResponse {
  id: string;
  @ApiProperty({ enum: ['private_key'] })
  authKind: 'private_key';
  /** Klaviyo's id of the account. */
  accountId: string;
  accountName: string | null;
  publicApiKey: string | null;
  label: string | null;
  isDefault: boolean;
  /** `invalid` once Klaviyo refused the key: connect again with a new one. */
  @ApiProperty({ enum: ['active', 'invalid'] })
  status: ConnectionStatus;
  /** `pk_…` and the key's last four characters. */
  maskedKey: string;
  capabilities: CapabilitiesResponse;
  /** ISO 4217. */
  currency: string | null;
  /** IANA. */
  timezone: string | null;
  connectedAt: Date;
  lastValidatedAt: Date | null;

  static from(connection: Connection): ConnectionResponse {
    return {
      id: connection.id,
      authKind: 'private_key',
      accountId: connection.accountId,
      accountName: connection.accountName,
      publicApiKey: connection.publicApiKey,
      label: connection.label,
      isDefault: connection.isDefault,
      status: connection.status,
      maskedKey: connection.maskedKey,
      capabilities: inOrder(connection.capabilities),
      currency: connection.currency,
      timezone: connection.timezone,
      connectedAt: connection.connectedAt,
      lastValidatedAt: connection.lastValidatedAt,
    };
  }
}

/** PostgreSQL keeps no order in jsonb; people read better with one. */
function inOrder(capabilities: Capabilities): Capabilities {
  return Object.fromEntries(AREAS.map((area) => [area, capabilities[area]])) as Capabilities;
}

export class OneConnectionResponse {
  connection: ConnectionResponse;

  static from(connection: Connection): OneConnectionResponse {
    return { connection: ConnectionResponse.from(connection) };
  }
}

export class ConnectResponse {
  connection: ConnectionResponse;
  @ApiProperty({ enum: ['PUBLIC_KEY_MISMATCH', 'SCOPES_MISSING', 'WEBHOOKS_UNAVAILABLE'], isArray: true })
  warnings: ConnectWarning[];

  static from(result: Connected): ConnectResponse {
    return { connection: ConnectionResponse.from(result.connection), warnings: result.warnings };
  }
}

export class ConnectionsResponse {
  /** Whether the user has connected an account. */
  connected: boolean;
  connections: ConnectionResponse[];

  static from(connections: readonly Connection[]): ConnectionsResponse {
    return { connected: connections.length > 0, connections: connections.map((item) => ConnectionResponse.from(item)) };
  }
}

export class DisconnectResponse {
  /** Connections erased. */
  disconnected: number;
  /** Events that waited to be sent and are dropped with them. */
  discardedEvents: number;
}
