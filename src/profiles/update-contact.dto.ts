import { ApiProperty, ApiPropertyOptional, type ApiPropertyOptions } from '@nestjs/swagger';
import { faultText, type Language } from '../common/messages';
import { KlaviyoIds, Nested, Optional, StringArray } from '../common/rules';
import { IdentifierRequest } from './identifier.dto';
import type { Change, Profile } from './profile';
import { TagNames, writableFields, type FieldName, type FieldType } from './profile-fields';
import type { HistoryEntry } from './profile-history';
import { ProfileChangeRequest } from './profile-input.dto';
import { MAX_LISTS } from './profile-lists';
import { ProfileResponse } from './profile.dto';
import { UPDATE_WARNINGS, type Updated, type UpdateWarning } from './update-contact.service';

export class UpdateContactRequest extends IdentifierRequest {
  @Optional()
  @Nested(() => ProfileChangeRequest)
  profile?: ProfileChangeRequest;

  /** Added where they are missing. */
  @TagNames()
  addTags?: string[];

  /** Removed where they are there. */
  @TagNames()
  removeTags?: string[];

  /** Names of custom attributes to remove. */
  @Optional()
  @StringArray({ max: 400, unique: true })
  unset?: string[];

  /** Lists to join, by membership alone: this changes no consent. */
  @Optional()
  @KlaviyoIds({ max: MAX_LISTS })
  addListIds?: string[];

  /** Lists to leave; this changes no consent. */
  @Optional()
  @KlaviyoIds({ max: MAX_LISTS })
  removeListIds?: string[];
}

const ANY_JSON: ApiPropertyOptions = {
  nullable: true,
  anyOf: [
    { type: 'string' },
    { type: 'number' },
    { type: 'boolean' },
    { type: 'array', items: {} },
    { type: 'object', additionalProperties: true },
  ],
};

class ChangeResponse implements Change {
  /** Dotted: `firstName`, `location.city`, `customAttributes.role`, `tags`, `lists`. */
  field: string;
  /** Any JSON; null where there was nothing. */
  @ApiProperty(ANY_JSON)
  from: unknown;
  /** Any JSON; null where there is nothing any more. */
  @ApiProperty(ANY_JSON)
  to: unknown;

  static from({ field, from, to }: Change): ChangeResponse {
    return { field, from, to };
  }
}

export class UpdateContactResponse {
  /** With `lists` where the update was about lists. */
  profile: ProfileResponse;
  /** What is different now, of what was asked. */
  changes: ChangeResponse[];
  /** `HISTORY_NOT_KEPT`: the change was made, but its history could not be stored. Absent otherwise. */
  @ApiPropertyOptional({ enum: UPDATE_WARNINGS, isArray: true })
  warnings?: UpdateWarning[];

  static from({ profile, lists, changes, warnings }: Updated): UpdateContactResponse {
    return {
      profile: ProfileResponse.from(profile, lists),
      changes: changes.map((change) => ChangeResponse.from(change)),
      ...(warnings.length > 0 ? { warnings } : {}),
    };
  }
}

class WritableFieldResponse {
  /** As in `profile`, dotted. */
  name: FieldName;
  @ApiProperty({ enum: ['email', 'phone', 'text', 'number', 'object', 'text[]'] })
  type: FieldType;
  /** What a value must be, in the language of the call. */
  constraint: string;
}

class HistoryResponse {
  at: Date;
  /** `X-Request-Id` of the update. */
  requestId: string | null;
  changes: ChangeResponse[];
}

export class ContactFieldsResponse {
  /** Every field that may be written. */
  fields: WritableFieldResponse[];
  /** With an identifier. */
  profile?: ProfileResponse;
  /** With an identifier: this service's updates of the person, newest first, at most 100. */
  history?: HistoryResponse[];

  static from(
    language: Language,
    found?: { profile: Profile; history: readonly HistoryEntry[] },
  ): ContactFieldsResponse {
    const fields = writableFields().map(({ name, type, constraints }) => ({
      name,
      type,
      constraint: constraints.map(({ key, params }) => faultText(key, language, params)).join(' ; '),
    }));
    if (!found) return { fields };
    return {
      fields,
      profile: ProfileResponse.from(found.profile),
      history: found.history.map(({ at, requestId, changes }) => ({
        at,
        requestId,
        changes: changes.map((change) => ChangeResponse.from(change)),
      })),
    };
  }
}
