import fc from 'fast-check';
import { AppError } from '../../src/common/errors';
import { Cursors, PageQuery } from '../../src/common/page';
import { validateInput } from '../../src/common/validation.pipe';
import { EncryptionService } from '../../src/encryption/encryption.service';
import type { Env } from '../../src/config/env';

function cursorsOf(...ids: string[]): Cursors {
  const encryptionKeys = ids.map((id) => ({ id, key: Buffer.alloc(32, id) }));
  return new Cursors(new EncryptionService({ encryptionKeys } as unknown as Env));
}

const cursors = cursorsOf('a');
const here = { userId: 7, scope: 'get-lists|source=live|name=x' };

function refusal(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error instanceof AppError ? error.errors : error;
  }
  return 'accepted';
}

const BAD = [{ field: 'cursor', key: 'badCursor' }];

describe('a cursor', () => {
  it('gives back the position it was made of, and nothing without one', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (position) => {
        expect(cursors.decode(here, cursors.encode(here, position))).toEqual(JSON.parse(JSON.stringify(position)));
      }),
    );
    expect(cursors.decode(here, undefined)).toBeUndefined();
  });

  it('fits into an address as it is', () => {
    expect(cursors.encode(here, { after: 'é/+?&' })).toMatch(/^[A-Za-z0-9_-]+$/);
  });

  it.each([
    ['another user', { ...here, userId: 8 }],
    ['another route, filter or source', { ...here, scope: 'get-lists|source=live|name=y' }],
  ])('is refused for %s', (_, there) => {
    const cursor = cursors.encode(here, { after: 1 });
    expect(refusal(() => cursors.decode(there, cursor))).toEqual(BAD);
  });

  it('is refused when one character of it was changed', () => {
    const cursor = cursors.encode(here, { after: 1 });
    for (let index = 0; index < cursor.length; index++) {
      const changed = `${cursor.slice(0, index)}${cursor[index] === 'A' ? 'B' : 'A'}${cursor.slice(index + 1)}`;
      // The last character of base64url holds spare bits: what decodes to the same bytes is the same cursor.
      if (Buffer.from(changed, 'base64url').equals(Buffer.from(cursor, 'base64url'))) continue;
      expect(refusal(() => cursors.decode(here, changed))).toEqual(BAD);
    }
  });

  it.each(['', 'x', 'W10', Buffer.from('null').toString('base64url'), Buffer.from('["a","b"]').toString('base64url')])(
    'is refused when it is none: %j',
    (text) => {
      expect(refusal(() => cursors.decode(here, text))).toEqual(BAD);
    },
  );

  it('made with an older key of the ring still works, one of a key that is gone does not', () => {
    const cursor = cursorsOf('a').encode(here, 1);
    expect(cursorsOf('b', 'a').decode(here, cursor)).toBe(1);
    expect(refusal(() => cursorsOf('b').decode(here, cursor))).toEqual(BAD);
  });
});

describe('a query that pages', () => {
  class Query extends PageQuery {}

  it.each(['0', '201', '1.5', 'x', ''])('refuses limit=%s', (limit) => {
    expect(refusal(() => validateInput(Query, { limit }, true))).toMatchObject([{ field: 'limit' }]);
  });

  it('takes 1 to 200 as numbers', () => {
    expect(validateInput(Query, { limit: '200' }, true).limit).toBe(200);
    expect(validateInput(Query, { limit: '1' }, true).limit).toBe(1);
  });
});
