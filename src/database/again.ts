import { isRepeatable } from './errors';
import { isNotAsPrepared } from './prepared';

const MOST_TRIES = 4;

/** A transaction, from the start again on a deadlock, a serialisation failure or a prepared statement that did not last. */
export async function again<T>(transaction: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction();
    } catch (error) {
      if (!(isRepeatable(error) || isNotAsPrepared(error)) || attempt >= MOST_TRIES) throw error;
    }
  }
}
