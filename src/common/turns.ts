/** Who waits, and whether somebody was promised the next turn. */
const waiting: (() => void)[] = [];

/**
 * Resolves when it is one's turn: one a round of the event loop, in the order of asking. For work of a millisecond or two
 * that many come to do at the same moment: answers that have arrived and requests that could go out are seen to in between.
 */
export function turn(): Promise<void> {
  return new Promise((mine) => {
    waiting.push(mine);
    if (waiting.length === 1) setImmediate(give);
  });
}

function give(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(give);
}
