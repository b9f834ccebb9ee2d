import { Injectable, Logger } from '@nestjs/common';
import { AccountsService } from '../connection/accounts.service';
import type { Connection } from '../connection/connection.entity';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { verdictOf, type Verdict } from './delivery';
import { EventsKlaviyo, type OutgoingEvent, type SendOptions } from './events.klaviyo';

/** Offers one event to Klaviyo, once, and says what that means for it. */
@Injectable()
export class EventSender {
  private readonly logger = new Logger('Events');

  constructor(
    private readonly atKlaviyo: EventsKlaviyo,
    private readonly accounts: AccountsService,
  ) {}

  /** Never throws: whatever goes wrong is a verdict. */
  async send(
    connection: Connection,
    access: KlaviyoAccess,
    event: OutgoingEvent,
    options: SendOptions,
  ): Promise<Verdict> {
    const verdict = await this.atKlaviyo
      .send(access, event, options)
      .then((): Verdict => ({ kind: 'sent' }), verdictOf);
    if (verdict.kind === 'later' && verdict.code === 'INTERNAL')
      this.logger.error({ msg: 'an event met an error that is not Klaviyo’s', connectionId: connection.id });
    await this.remember(connection, access, verdict);
    return verdict;
  }

  private async remember(connection: Connection, access: KlaviyoAccess, verdict: Verdict): Promise<void> {
    const lacking = verdict.kind === 'refused' && verdict.code === 'KLAVIYO_SCOPE_MISSING';
    if (verdict.kind !== 'sent' && !lacking) return;
    const outcome = lacking ? 'scope_missing' : 'ok';
    await this.accounts.noteWrite(connection, access, 'events', outcome);
  }
}
