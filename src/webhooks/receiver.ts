import { createSecretKey, randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { WrongCredentials } from '../auth/attempts';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { freeMemory } from '../common/free-memory';
import { ENV, type Env } from '../config/env';
import { isDatabaseDown } from '../database/errors';
import { BrokenBody, type UnreadBody, type WholeBody } from '../http/unread-body';
import { Metrics } from '../observability/metrics';
import { WebhookIntake, type Taken } from './intake';
import { readDelivery, type SignedDelivery } from './receiver-body';
import { ReceiverRoom, type BodyRoom } from './receiver-room';
import { isSignedBy, SignatureCheck, type Credentials } from './receiver-signature';
import { ReceiverWebhooks, type KnownWebhook } from './receiver-webhooks';

/** A call of the receiver, as its headers have it. */
export interface ReceiverCall {
  /** Undefined: a header is missing, doubled or malformed. */
  credentials: Credentials | undefined;
  /** Of whom the call claims to be, for counting. */
  claimed: string;
  address: string;
  /** Undefined where there was none. */
  body: UnreadBody | undefined;
}

/** Klaviyo waits five seconds: for its body we wait as long, and for the database a little less. */
const BODY_MS = 5000;
const COMMIT_MS = 4500;
const RETRY_SECONDS = 5;
const HOUR_MS = 3_600_000;
/** Of the signature, 128 bits tell deliveries apart. */
const DIGEST_DIGITS = 32;
/** Bytes that are hashed before others have their turn. */
const PIECE_BYTES = 1024 * 1024;

/** Takes Klaviyo's deliveries: whose it is, whether it is genuine and in time, then the intake. */
@Injectable()
export class WebhookReceiver {
  private readonly logger = new Logger('WebhookReceiver');
  private readonly refused = new WrongCredentials();
  private readonly room = new ReceiverRoom();
  /** Stands in for the secret of a webhook that nobody has: the same is done whoever asks. */
  private readonly nobody = [createSecretKey(randomBytes(32))];

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly webhooks: ReceiverWebhooks,
    private readonly intake: WebhookIntake,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Answers once everything is committed.
   * @throws AppError WEBHOOK_SIGNATURE_INVALID (unknown webhook, foreign account, wrong signature: all alike),
   * RATE_LIMITED in its place from the 61st of a minute; PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE by the head, of
   * anybody; WEBHOOK_TIMESTAMP_OUT_OF_RANGE, PAYLOAD_TOO_LARGE, MALFORMED_JSON and VALIDATION_FAILED of signed bodies;
   * SERVICE_UNAVAILABLE
   */
  async receive(call: ReceiverCall): Promise<Taken> {
    try {
      const taken = await this.tryReceive(call);
      const isRepeated = taken.received > 0 && taken.duplicates === taken.received;
      this.metrics.webhookDeliveries.inc({ outcome: isRepeated ? 'repeated' : 'taken' });
      return taken;
    } catch (error) {
      this.metrics.webhookDeliveries.inc({ outcome: outcomeOf(error) });
      throw error;
    }
  }

  private async tryReceive(call: ReceiverCall): Promise<Taken> {
    const { credentials, body } = call;
    // Told to whoever calls, before anybody is looked up: it says nothing of whose webhook it is.
    body?.checkHead();
    const known = credentials === undefined ? [] : await this.inTime(this.webhooks.of(credentials.webhookId));
    if (credentials === undefined || body === undefined || known.length === 0) {
      isSignedBy(this.nobody, Buffer.alloc(0), { webhookId: '', timestamp: '', signature: '0'.repeat(64) });
      throw this.refusal(call);
    }
    const room = this.room.enter(call.address);
    try {
      const { webhook, delivery } = await this.readGenuine(call, credentials, body, known, room);
      room.leave();
      return await this.keep(call, webhook, credentials, delivery);
    } finally {
      room.leave();
    }
  }

  /** Until the signature holds, whatever is wrong with the body is answered alike; one without end is not even hashed. */
  private async readGenuine(
    call: ReceiverCall,
    credentials: Credentials,
    body: UnreadBody,
    known: readonly KnownWebhook[],
    room: BodyRoom,
  ): Promise<{ webhook: KnownWebhook; delivery: SignedDelivery }> {
    const whole = await this.read(call, body, (chunk) => room.add(chunk.length));
    const { signers, delivery } = await this.readSigned(call, credentials, whole, known).finally(() => whole.release());
    const webhook = signers.find(
      ({ accountId }) => delivery.webhookId === credentials.webhookId && delivery.accountId === accountId,
    );
    if (!webhook) throw this.refusal(call);
    return { webhook, delivery };
  }

  private async readSigned(
    call: ReceiverCall,
    credentials: Credentials,
    { chunks, size, tooLarge }: WholeBody,
    known: readonly KnownWebhook[],
  ): Promise<{ signers: readonly KnownWebhook[]; delivery: SignedDelivery }> {
    const found = await signersAmong(known, chunks, credentials);
    const signers = found.length > 0 ? found : await this.signersNow(known, credentials, chunks);
    if (signers.length === 0) throw this.refusal(call);
    if (tooLarge) throw tooLarge;
    const bytes = Buffer.concat(chunks, size);
    try {
      return { signers, delivery: readDelivery(bytes) };
    } finally {
      freeMemory(bytes);
    }
  }

  private async read(call: ReceiverCall, body: UnreadBody, onChunk: (chunk: Buffer) => void): Promise<WholeBody> {
    try {
      return await body.read(BODY_MS, onChunk);
    } catch (error) {
      // Nothing of it was signed by anybody.
      if (error instanceof BrokenBody) throw this.refusal(call);
      throw error;
    }
  }

  /** A signature that does not hold may be made with a secret that was made elsewhere a moment ago. */
  private async signersNow(
    tried: readonly KnownWebhook[],
    credentials: Credentials,
    chunks: readonly Buffer[],
  ): Promise<readonly KnownWebhook[]> {
    const now = (await this.inTime(this.webhooks.again(credentials.webhookId))) ?? [];
    const old = tried.flatMap(({ secrets }) => secrets);
    const renewed = now.map((webhook) => ({
      ...webhook,
      secrets: webhook.secrets.filter((secret) => !old.some((one) => one.equals(secret))),
    }));
    return signersAmong(
      renewed.filter(({ secrets }) => secrets.length > 0),
      chunks,
      credentials,
    );
  }

  private async keep(
    call: ReceiverCall,
    webhook: KnownWebhook,
    credentials: Credentials,
    { events, at }: SignedDelivery,
  ): Promise<Taken> {
    const late = this.isLate(at);
    const taken = await this.inTime(
      this.intake.take({
        webhook,
        source: 'push',
        events,
        ...(at === null ? {} : { at }),
        digest: credentials.signature.slice(0, DIGEST_DIGITS),
        late,
      }),
    );
    if (taken) return taken;
    // Removed since it was looked up.
    this.webhooks.forget(credentials.webhookId);
    throw this.refusal(call);
  }

  /** @throws AppError WEBHOOK_TIMESTAMP_OUT_OF_RANGE by the signed time, the only one that can be believed */
  private isLate(at: number | null): boolean {
    const age = this.clock.now() - (at ?? NaN);
    const tolerance = this.env.webhookToleranceSeconds * 1000;
    const horizon = this.env.webhookRetryHorizonHours * HOUR_MS;
    if (!(age >= -tolerance && age <= horizon)) throw new AppError('WEBHOOK_TIMESTAMP_OUT_OF_RANGE');
    return age > tolerance;
  }

  /** What is not committed in time may be committed yet: brought again, it has no further effect. */
  private async inTime<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, fail) => {
      timer = setTimeout(
        () =>
          fail(
            new AppError('SERVICE_UNAVAILABLE', {
              retryAfter: RETRY_SECONDS,
              reason: 'the database did not answer in time',
            }),
          ),
        COMMIT_MS,
      );
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private refusal({ address, claimed }: ReceiverCall): AppError {
    const retryAfter = this.refused.note(address, this.clock.now(), claimed);
    if (retryAfter !== undefined) return new AppError('RATE_LIMITED', { retryAfter });
    this.logger.warn({ msg: 'a delivery was refused', address, claimed });
    return new AppError('WEBHOOK_SIGNATURE_INVALID');
  }
}

/** Whoever signed a body, found out piece by piece, so that no moment costs much. */
async function signersAmong(
  webhooks: readonly KnownWebhook[],
  chunks: readonly Buffer[],
  credentials: Credentials,
): Promise<readonly KnownWebhook[]> {
  if (webhooks.length === 0) return [];
  const checks = webhooks.map((webhook) => ({ webhook, check: new SignatureCheck(webhook.secrets) }));
  let bytes = 0;
  for (const chunk of chunks) {
    for (const { check } of checks) check.update(chunk);
    bytes += chunk.length;
    if (bytes < PIECE_BYTES) continue;
    bytes = 0;
    await nextTurn();
  }
  return checks.filter(({ check }) => check.holds(credentials)).map(({ webhook }) => webhook);
}

function outcomeOf(error: unknown): string {
  if (isDatabaseDown(error)) return 'unavailable';
  if (!(error instanceof AppError)) return 'failed';
  if (error.code === 'SERVICE_UNAVAILABLE') return 'unavailable';
  return error.code === 'WEBHOOK_TIMESTAMP_OUT_OF_RANGE' ? 'out_of_time' : 'refused';
}
