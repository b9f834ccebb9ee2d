import { Injectable } from '@nestjs/common';

/** Passes on what is planned. */
@Injectable()
export class Forwarder {
  /** Looks for what is due once the transaction under way has had time to end. */
  wakeSoon(): void {
    setTimeout(() => undefined, 0).unref();
  }
}
