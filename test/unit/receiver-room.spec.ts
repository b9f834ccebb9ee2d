import { AppError } from '../../src/common/errors';
import { ReceiverRoom } from '../../src/webhooks/receiver-room';

const KB = 1024;
const FREE = 64 * KB;

const isFull = (work: () => void) => {
  expect(work).toThrow(AppError);
  expect(work).toThrow(/SERVICE_UNAVAILABLE/);
};

describe('the room for bodies that nobody has signed yet', () => {
  it('is bounded in all, and given back', () => {
    const room = new ReceiverRoom(100 * KB, 100 * KB);
    const first = room.enter('a');
    first.add(FREE + 60 * KB);
    const second = room.enter('b');
    second.add(FREE + 40 * KB);
    isFull(() => room.enter('c').add(FREE + 1));
    first.leave();
    first.leave();
    const third = room.enter('c');
    third.add(FREE + 60 * KB);
    isFull(() => room.enter('d').add(FREE + 1));
  });

  it('is not all for one address', () => {
    const room = new ReceiverRoom(100 * KB, 50 * KB);
    room.enter('a').add(FREE + 50 * KB);
    isFull(() => room.enter('a').add(FREE + 1));
    room.enter('b').add(FREE + 50 * KB);
  });

  it('is there for small bodies even when it is full, piece by piece', () => {
    const room = new ReceiverRoom(0, 0);
    const body = room.enter('a');
    for (let sent = 0; sent < FREE; sent += KB) body.add(KB);
    isFull(() => body.add(1));
  });
});
