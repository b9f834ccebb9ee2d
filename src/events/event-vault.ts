import { Injectable } from '@nestjs/common';
import { EncryptionService } from '../encryption/encryption.service';
import { viewOf, type EventView } from './event-view';
import type { EventProfile } from './find-profile';
import type { SentEvent } from './sent-event.entity';

/** The row that sealed values belong to. */
export interface EventAddress {
  userId: number;
  connectionId: string;
  id: string;
}

/** What is said of the person, apart from who it is. */
export interface EventPayload {
  properties: Record<string, unknown>;
  backfill: boolean;
}

const PROFILE = 'event-profile';
const PAYLOAD = 'event-payload';

/** Seals and opens what is personal in an event, each value bound to its row. */
@Injectable()
export class EventVault {
  constructor(private readonly encryption: EncryptionService) {}

  /** The same for the same identifiers at the same connection; tells nobody who it is. E-mail in whatever case. */
  profileKey(userId: number, connectionId: string, profile: EventProfile): string {
    const identifiers = [profile.id, profile.email?.toLowerCase() ?? null, profile.phoneNumber, profile.externalId];
    return this.encryption.mac(PROFILE, JSON.stringify([userId, connectionId, ...identifiers])).mac;
  }

  async seal(
    address: EventAddress,
    profile: EventProfile,
    payload: EventPayload,
  ): Promise<{ sealedProfile: string; sealedPayload: string }> {
    const [sealedProfile, sealedPayload] = await Promise.all([
      this.encryption.seal(JSON.stringify(profile), context(address, PROFILE)),
      this.encryption.seal(JSON.stringify(payload), context(address, PAYLOAD)),
    ]);
    return { sealedProfile, sealedPayload };
  }

  /** @throws SealError when it was tampered with or its key is not in the ring */
  async openProfile(address: EventAddress, sealed: string): Promise<EventProfile> {
    return JSON.parse(await this.encryption.open(sealed, context(address, PROFILE))) as EventProfile;
  }

  /** A stored event as its user sees it. @throws SealError as `openProfile` */
  async view(row: SentEvent): Promise<EventView> {
    const address = { userId: Number(row.userId), connectionId: row.connectionId, id: row.id };
    return viewOf(row, await this.openProfile(address, row.sealedProfile));
  }

  /** @throws SealError as `openProfile` */
  async openPayload(address: EventAddress, sealed: string): Promise<EventPayload> {
    return JSON.parse(await this.encryption.open(sealed, context(address, PAYLOAD))) as EventPayload;
  }
}

function context(address: EventAddress, purpose: string): { owner: string; purpose: string } {
  return { owner: `user:${address.userId}/connection:${address.connectionId}/event:${address.id}`, purpose };
}
