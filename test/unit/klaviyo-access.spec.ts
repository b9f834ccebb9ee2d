import { inspect } from 'node:util';
import { KlaviyoAccess } from '../../src/klaviyo/klaviyo-access';

describe('access to an account', () => {
  const secret = 'pk_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7';
  const access = new KlaviyoAccess({ userId: 7, connectionId: 'c-1', accountId: 'WBhXHN', privateKey: secret });

  it('gives the header and nothing else of the key', () => {
    expect(access.authorization()).toBe(`Klaviyo-API-Key ${secret}`);
  });

  it('shows whose it is and never the key, however it is printed', () => {
    const prints = [
      JSON.stringify({ access }),
      JSON.stringify(Object.entries(access)),
      inspect({ deep: { access } }, { showHidden: true, depth: 10, getters: true }),
      String(access),
      JSON.stringify(Object.assign({}, access)),
      inspect(Object.getOwnPropertyDescriptors(access)),
      JSON.stringify(structuredClone(access)),
    ];
    for (const print of prints) {
      expect(print).not.toContain(secret.slice(3, 13));
      expect(print).toContain('WBhXHN');
    }
  });
});
