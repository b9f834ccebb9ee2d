import { Inject, Injectable } from '@nestjs/common';
import { createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify, type JWTVerifyOptions } from 'jose';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { parseUserId } from '../common/user-id';
import { ENV, type Env } from '../config/env';

const SKEW_SECONDS = 60;
const JWKS_TIMEOUT_MS = 3_000;
const JWKS_RETRY_SECONDS = 5;
/** Pinned by source: a public key of the JWKS can never be taken for an HMAC secret. */
const SECRET_ALGORITHMS = ['HS256'];
const JWKS_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];

type RemoteKeys = ReturnType<typeof createRemoteJWKSet>;

/** Verifies users' own tokens: HS256 with our secret, RS/ES/EdDSA with the keys behind `JWT_JWKS_URL`. */
@Injectable()
export class UserTokens {
  private readonly secret: Uint8Array | undefined;
  private readonly remote: RemoteKeys | undefined;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly clock: Clock,
  ) {
    this.secret = env.jwtSecret === undefined ? undefined : new TextEncoder().encode(env.jwtSecret);
    this.remote =
      env.jwtJwksUrl === undefined
        ? undefined
        : createRemoteJWKSet(new URL(env.jwtJwksUrl), { timeoutDuration: JWKS_TIMEOUT_MS });
  }

  /**
   * The user whose token this is; undefined when it is not valid here.
   * @throws AppError SERVICE_UNAVAILABLE when the keys to judge it by cannot be had
   */
  async userOf(token: string): Promise<number | undefined> {
    const algorithm = algorithmOf(token);
    if (algorithm === undefined) return undefined;
    const sub = SECRET_ALGORITHMS.includes(algorithm)
      ? await this.verifyWithSecret(token)
      : await this.verifyWithKeys(token);
    return parseUserId(sub);
  }

  private async verifyWithSecret(token: string): Promise<string | undefined> {
    if (!this.secret) return undefined;
    try {
      return (await jwtVerify(token, this.secret, this.options(SECRET_ALGORITHMS))).payload.sub;
    } catch {
      return undefined;
    }
  }

  private async verifyWithKeys(token: string): Promise<string | undefined> {
    if (!this.remote) return undefined;
    try {
      return (await jwtVerify(token, this.remote, this.options(JWKS_ALGORITHMS))).payload.sub;
    } catch (error) {
      if (isVerdict(error)) return undefined;
      throw new AppError('SERVICE_UNAVAILABLE', {
        retryAfter: JWKS_RETRY_SECONDS,
        reason: `JWT_JWKS_URL gave no keys (${error instanceof Error ? error.name : 'unknown'})`,
      });
    }
  }

  private options(algorithms: string[]): JWTVerifyOptions {
    return {
      algorithms,
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(this.clock.now()),
      requiredClaims: ['exp', 'sub'],
      ...(this.env.jwtIssuer === undefined ? {} : { issuer: this.env.jwtIssuer }),
      ...(this.env.jwtAudience === undefined ? {} : { audience: this.env.jwtAudience }),
    };
  }
}

function algorithmOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).alg;
  } catch {
    return undefined;
  }
}

/** Whether the failure says something about the token, and not about the key source. */
function isVerdict(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return false;
  const sourceFailed =
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    // What jose throws when the address answers anything but 200 with JSON.
    error.code === 'ERR_JOSE_GENERIC';
  return !sourceFailed;
}
