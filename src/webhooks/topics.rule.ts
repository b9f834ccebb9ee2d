import { ValidateBy } from 'class-validator';
import type { Fault } from '../common/formats';

const MAX_TOPICS = 1000;
const MAX_LENGTH = 255;

/** An array of topics without repetitions, or the word `all`. Whether the account has them is another question. */
export function TopicChoice(): PropertyDecorator {
  return ValidateBy({
    name: 'topicChoice',
    validator: {
      validate: (value: unknown) => faultOf(value) === null,
      defaultMessage: (args) => JSON.stringify(faultOf(args?.value)),
    },
  });
}

function faultOf(value: unknown): Fault | null {
  if (value === undefined) return { key: 'required' };
  if (value === 'all') return null;
  if (typeof value === 'string') return { key: 'notOneOf', params: { values: 'all, […]' } };
  if (!Array.isArray(value)) return { key: 'notArray' };
  if (value.length === 0) return { key: 'tooFewItems', params: { min: 1 } };
  if (value.length > MAX_TOPICS) return { key: 'tooManyItems', params: { max: MAX_TOPICS } };
  if (!value.every((item) => typeof item === 'string')) return { key: 'notText' };
  if (!value.every((item) => item !== '')) return { key: 'empty' };
  if (!value.every((item) => item.length <= MAX_LENGTH)) return { key: 'tooLong', params: { max: MAX_LENGTH } };
  return new Set(value).size === value.length ? null : { key: 'notUnique' };
}
