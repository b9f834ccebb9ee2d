/**
 * Gives back what a buffer holds, now and not when V8 comes to it: with every 64 MB outside its heap that nobody gives
 * back, it goes through the whole heap, which costs more than most of what is done with the bytes. Nobody may look at
 * the buffer any more. Where it shares its memory with others nothing happens.
 */
export function freeMemory(buffer: Buffer): void {
  const { buffer: memory, byteLength } = buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength === byteLength) memory.transfer(0);
}
