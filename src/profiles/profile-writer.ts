import { Injectable } from '@nestjs/common';
import { AppError } from '../common/errors';
import type { OpenAccount } from '../connection/accounts.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { OWN_IDENTIFIERS, type Identifier, type Profile, type ProfileInput } from './profile';
import { isEmpty, type ProfileWrite } from './profile-writing.klaviyo';
import { ProfilesKlaviyo } from './profiles.klaviyo';

/** Tries of one write: the second and third only where the first is known not to count, or reads again what it did. */
const TRIES = 3;

/** Which tags an update adds and removes. */
export interface TagChange {
  add: readonly string[];
  remove: readonly string[];
}

/**
 * Writes people so that two writers at once lose nothing: tags are appended one by one and never read, changed and
 * written back. Only tags that are missing are appended, since Klaviyo does not say whether it appends a tag twice;
 * two writers adding the same new tag at once may still store it twice, and it is answered once.
 */
@Injectable()
export class ProfileWriter {
  constructor(private readonly atKlaviyo: ProfilesKlaviyo) {}

  /**
   * Creates the person or updates the one that has an identifier of theirs; tags are added.
   * A 409 can also come of two calls that create the same person at once: one of them is then an update.
   * @throws AppError PROFILE_CONFLICT with `profileIds` when the identifiers are several people's
   */
  async upsert(account: OpenAccount, input: ProfileInput): Promise<{ profile: Profile; created: boolean }> {
    const access = account.klaviyo;
    const { tags, ...fields } = input;
    for (let attempt = 1; ; attempt++) {
      const known = tags && tags.length > 0 ? await this.onePerson(access, input) : null;
      const write: ProfileWrite = { fields, appendTags: missing(tags ?? [], known) };
      try {
        return await account.writing('profiles', () => this.atKlaviyo.upsert(access, write));
      } catch (error) {
        if (isConflict(error)) await this.onePerson(access, input, conflictIds(error));
        else if (!isLostAppend(error, write)) throw error;
        if (attempt === TRIES) throw error;
      }
    }
  }

  /**
   * Changes the person `before`; adds and removes what `tags` says.
   * @returns the person afterwards; `before` itself where nothing had to be changed
   * @throws AppError PROFILE_CONFLICT with `profileIds` when a new identifier is somebody else's
   */
  async update(account: OpenAccount, before: Profile, write: ProfileWrite, tags: TagChange): Promise<Profile> {
    const access = account.klaviyo;
    let current = before;
    for (let attempt = 1; ; attempt++) {
      const whole: ProfileWrite = {
        ...write,
        appendTags: missing(tags.add, current),
        removeTags: tags.remove.filter((tag) => current.tags.includes(tag)),
      };
      if (isEmpty(whole)) return current;
      try {
        return await account.writing('profiles', () => this.atKlaviyo.update(access, before.id, whole));
      } catch (error) {
        if (isConflict(error)) throw await this.takenBy(access, before, write.fields, error);
        if (!isLostAppend(error, whole) || attempt === TRIES) throw error;
        current = await this.reread(access, before.id, error);
      }
    }
  }

  /** The one person that the identifiers name, or null. @throws AppError PROFILE_CONFLICT when they name several */
  private async onePerson(
    access: KlaviyoAccess,
    input: ProfileInput,
    others: readonly string[] = [],
  ): Promise<Profile | null> {
    const found = await this.holders(access, input);
    const ids = new Set([...found.map(({ id }) => id), ...others]);
    if (ids.size > 1) throw conflict([...ids]);
    return found[0] ?? null;
  }

  private async holders(access: KlaviyoAccess, input: ProfileInput): Promise<Profile[]> {
    const found = await Promise.all(identifiersOf(input).map((by) => this.atKlaviyo.find(access, by)));
    return found.filter((profile) => profile !== null);
  }

  /** Klaviyo names one holder of a taken identifier, or none: the others are looked for. */
  private async takenBy(
    access: KlaviyoAccess,
    before: Profile,
    fields: ProfileInput,
    error: AppError,
  ): Promise<AppError> {
    const holders = await this.holders(access, fields);
    const ids = new Set([before.id, ...holders.map(({ id }) => id), ...conflictIds(error)]);
    return ids.size > 1 ? conflict([...ids]) : error;
  }

  private async reread(access: KlaviyoAccess, id: string, error: unknown): Promise<Profile> {
    const profile = await this.atKlaviyo.find(access, { field: 'profileId', value: id });
    if (!profile) throw error;
    return profile;
  }
}

function missing(tags: readonly string[], profile: Profile | null): string[] {
  return tags.filter((tag) => !profile?.tags.includes(tag));
}

function identifiersOf(input: ProfileInput): Identifier[] {
  return OWN_IDENTIFIERS.flatMap((field) => {
    const value = input[field];
    return typeof value === 'string' ? [{ field, value }] : [];
  });
}

function isConflict(error: unknown): error is AppError {
  return error instanceof AppError && (error.code === 'PROFILE_CONFLICT' || error.code === 'CONFLICT');
}

/**
 * Whether an append may or may not have arrived. The client does not send it again, since it could add a tag twice;
 * after another look at the tags it can be.
 */
function isLostAppend(error: unknown, write: ProfileWrite): boolean {
  const appends = write.appendTags !== undefined && write.appendTags.length > 0;
  return appends && error instanceof AppError && error.code === 'KLAVIYO_UNAVAILABLE';
}

function conflictIds(error: AppError): string[] {
  const ids = error.extra['profileIds'];
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}

function conflict(profileIds: readonly string[]): AppError {
  return new AppError('PROFILE_CONFLICT', { extra: { profileIds } });
}
