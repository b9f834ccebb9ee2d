import { KlaviyoId, Optional } from '../common/rules';
import { ScopedQuery, ScopedRequest } from '../common/scoped.dto';
import { ProfileField } from './profile-fields';

/** Who, by exactly one of four names. */
export class IdentifierQuery extends ScopedQuery {
  /** Klaviyo's id of the person. */
  @Optional()
  @KlaviyoId()
  profileId?: string;

  @ProfileField('email')
  email?: string;

  /** E.164. */
  @ProfileField('phoneNumber')
  phoneNumber?: string;

  /** The person's id in your own system. */
  @ProfileField('externalId')
  externalId?: string;
}

/** Who, by exactly one of four names. */
export class IdentifierRequest extends ScopedRequest {
  /** Klaviyo's id of the person. */
  @Optional()
  @KlaviyoId()
  profileId?: string;

  @ProfileField('email')
  email?: string;

  /** E.164. */
  @ProfileField('phoneNumber')
  phoneNumber?: string;

  /** The person's id in your own system. */
  @ProfileField('externalId')
  externalId?: string;
}
