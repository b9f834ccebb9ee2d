import { PassThrough } from 'node:stream';
import { answerText } from '../../src/klaviyo/answer-text';

const LARGEST = 1_000_000;

/** A stream that gives these pieces one after the other. */
function pieces(...all: Buffer[]): PassThrough {
  const stream = new PassThrough({ highWaterMark: 10 * LARGEST });
  for (const piece of all) stream.write(piece);
  return stream;
}

describe('the text of an answer', () => {
  it.each([
    ['none', []],
    ['one piece', ['{"a":1}']],
    ['many', Array.from({ length: 40 }, (_, at) => `${at}:${'x'.repeat(5000)};`)],
  ])('is whole: %s', async (_, texts) => {
    const stream = pieces(...texts.map((text) => Buffer.from(text)));
    stream.end();
    expect(await answerText(stream, LARGEST)).toBe(texts.join(''));
  });

  it('holds characters that two pieces share', async () => {
    const text = 'Zoë 🎂 é'.repeat(3000);
    const bytes = Buffer.from(text);
    const stream = pieces(
      ...Array.from({ length: Math.ceil(bytes.length / 7) }, (_, at) => bytes.subarray(at * 7, at * 7 + 7)),
    );
    stream.end();
    expect(await answerText(stream, LARGEST)).toBe(text);
  });

  it('is nobody else’s, though many come at once and one after the other', async () => {
    for (let round = 0; round < 3; round += 1) {
      const streams = Array.from({ length: 8 }, () => pieces());
      const texts = streams.map((stream) => answerText(stream, LARGEST));
      for (let piece = 0; piece < 20; piece += 1)
        streams.forEach((stream, of) => stream.write(Buffer.alloc(9000, `${of}${round}`)));
      for (const stream of streams) stream.end();
      const wanted = streams.map((_, of) => Buffer.alloc(9000, `${of}${round}`).toString().repeat(20));
      const came = await Promise.all(texts);
      expect(came.map((text, of) => text === wanted[of])).toEqual(wanted.map(() => true));
    }
  });

  it('is null where it is too large, and its line is closed', async () => {
    const stream = pieces(Buffer.alloc(LARGEST), Buffer.alloc(1));
    expect(await answerText(stream, LARGEST)).toBeNull();
    expect(stream.destroyed).toBe(true);
  });

  it('takes exactly as much as it may', async () => {
    const stream = pieces(Buffer.alloc(LARGEST - 1, 'a'), Buffer.from('b'));
    stream.end();
    expect(await answerText(stream, LARGEST)).toHaveLength(LARGEST);
  });

  it.each([
    ['by an error', new Error('reset'), 'reset'],
    ['without one', undefined, 'The answer was broken off'],
  ])('fails where it is broken off %s', async (_, error, message) => {
    const stream = pieces(Buffer.from('{"da'));
    const text = answerText(stream, LARGEST);
    stream.destroy(error);
    await expect(text).rejects.toThrow(message);
  });
});
