import { createHmac, createSecretKey } from 'node:crypto';
import { credentialsOf, isSignedBy, signatureOf } from '../../src/webhooks/receiver-signature';

const FIRST =
  '{"data":[{"external_id":"4L3cwQae2TX","topic":"event:klaviyo.sent_sms"}],"meta":{"klaviyo_webhook_id":"a8b890458b4bbfaa26d961471b83c101d6de23bd826e7e5173a15310985ec3cb"}}';
const SECOND =
  '{"data": [{"external_id": "7qWkC6JPz7g", "topic": "event:klaviyo.opened_email", "payload": {"data": {"type": "event", "id": "7qWkC6JPz7g", "attributes": {"timestamp": 1788529135, "event_properties": {"Subject": "Café"}, "datetime": "2026-09-04 13:38:55+00:00", "uuid": "f9204180-a865-11f1-8001-eb4883aa7288"}}}}], "meta": {"timestamp": "2026-09-04T13:40:12.101159+00:00", "klaviyo_webhook_id": "01M1PAC5N9PMXJ7672AC8B75VN", "klaviyo_account_id": "WBhXHN", "version": "2024-06-28"}}';

const VECTORS = [
  {
    secret: 'klaviyo-test-secret',
    timestamp: 'Thu, 04 Jan 2024 18:05:25 GMT',
    body: FIRST,
    signature: '5aa0e720d80b3a04ca04baf3c65cdfe31da57504af69fee8da29c35d45f0596b',
  },
  {
    secret: '0123456789abcdef0123456789abcdef',
    timestamp: 'Fri, 04 Sep 2026 18:40:12 GMT',
    body: SECOND,
    signature: '228e3c6fa8e6f7eafd2aa1ffeac39bf96bb7b5a2231ec35fc6f177da5339e4b9',
  },
];
const KNOWN = VECTORS[0]!;

const key = (secret: string) => createSecretKey(secret, 'utf8');
const holds = (body: Buffer, timestamp: string, signature: string, secrets = [KNOWN.secret]) =>
  isSignedBy(secrets.map(key), body, { webhookId: 'x', timestamp, signature });

describe('the signature of a delivery', () => {
  it.each(VECTORS)('holds for what is known to be genuine: $timestamp', ({ secret, timestamp, body, signature }) => {
    expect(signatureOf(secret, Buffer.from(body), timestamp)).toBe(signature);
    expect(holds(Buffer.from(body), timestamp, signature, [secret])).toBe(true);
  });

  it.each([
    ['the timestamp first', '041e913b20e8df375c7984608bb7ec1407cda7b94300c4db19ab8eefb95ac329'],
    ['a dot between', 'd2526325d5c8353716a087e9f07df23fe059abe6d8ea159b3a4b5f72bad8d579'],
    ['the body alone', '438863f345f5d893316dd3e513592a9c7810ea748775c2c61b7fce6a049bee6a'],
    ['base64', 'WqDnINgLOgTKBLrzxlzf4x2ldQSvaf7o2inDXUXwWWs='],
  ])('does not hold by another recipe: %s', (_recipe, signature) => {
    expect(holds(Buffer.from(KNOWN.body), KNOWN.timestamp, signature)).toBe(false);
  });

  it('does not hold once a single bit of the body has changed', () => {
    const body = Buffer.from(KNOWN.body);
    for (let bit = 0; bit < body.length * 8; bit++) {
      const changed = Buffer.from(body);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(holds(changed, KNOWN.timestamp, KNOWN.signature)).toBe(false);
    }
  });

  it('does not hold once a single bit of the timestamp has changed', () => {
    for (let bit = 0; bit < KNOWN.timestamp.length * 8; bit++) {
      const changed = Buffer.from(KNOWN.timestamp, 'latin1');
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(holds(Buffer.from(KNOWN.body), changed.toString('latin1'), KNOWN.signature)).toBe(false);
    }
  });

  it('does not hold once a single bit of it has changed, the case of a digit included', () => {
    for (let bit = 0; bit < KNOWN.signature.length * 8; bit++) {
      const changed = Buffer.from(KNOWN.signature, 'latin1');
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(holds(Buffer.from(KNOWN.body), KNOWN.timestamp, changed.toString('latin1'))).toBe(false);
    }
  });

  it('holds by whichever of several secrets, and by none of no secrets', () => {
    const body = Buffer.from(KNOWN.body);
    for (const secrets of [
      [KNOWN.secret, 'another-secret-of-enough-length'],
      ['another-secret-of-enough-length', KNOWN.secret],
    ])
      expect(holds(body, KNOWN.timestamp, KNOWN.signature, secrets)).toBe(true);
    expect(holds(body, KNOWN.timestamp, KNOWN.signature, [])).toBe(false);
    expect(holds(body, KNOWN.timestamp, KNOWN.signature, ['another-secret-of-enough-length'])).toBe(false);
  });

  it('is over the bytes as they are: nothing of them is read', () => {
    const body = Buffer.from([0xff, 0xfe, 0x00, 0x7b, 0x80]);
    const signature = createHmac('sha256', KNOWN.secret).update(body).update(KNOWN.timestamp).digest('hex');
    expect(holds(body, KNOWN.timestamp, signature)).toBe(true);
  });
});

describe('the credentials of a delivery', () => {
  const good = {
    'klaviyo-webhook-id': ['01M1PAC5N9PMXJ7672AC8B75VN'],
    'klaviyo-signature': [KNOWN.signature],
    'klaviyo-timestamp': [KNOWN.timestamp],
  };

  it('are taken as they are', () => {
    expect(credentialsOf(good)).toEqual({
      webhookId: '01M1PAC5N9PMXJ7672AC8B75VN',
      signature: KNOWN.signature,
      timestamp: KNOWN.timestamp,
    });
  });

  it.each(Object.keys(good))('need %s, once, and not empty', (name) => {
    const [value = ''] = good[name as keyof typeof good];
    for (const given of [undefined, [], [''], [value, value], [`${value}\n`], ['é']])
      expect(credentialsOf({ ...good, [name]: given })).toBeUndefined();
  });

  it.each([
    ['upper-case', KNOWN.signature.toUpperCase()],
    ['truncated', KNOWN.signature.slice(0, 63)],
    ['too long', `${KNOWN.signature}0`],
    ['not hexadecimal', `g${KNOWN.signature.slice(1)}`],
    ['prefixed', `sha256=${KNOWN.signature}`],
    ['base64', 'WqDnINgLOgTKBLrzxlzf4x2ldQSvaf7o2inDXUXwWWs='],
  ])('have no signature that is %s', (_what, signature) => {
    expect(credentialsOf({ ...good, 'klaviyo-signature': [signature] })).toBeUndefined();
  });
});
