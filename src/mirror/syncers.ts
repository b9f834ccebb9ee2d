import { Injectable } from '@nestjs/common';
import { RESOURCES, type Resource } from './resources';
import type { Syncer } from './syncer';

/** Who synchronises what: features register while Nest builds them, the engine asks. */
@Injectable()
export class Syncers {
  private readonly byResource = new Map<Resource, Syncer>();

  register(syncer: Syncer): void {
    if (this.byResource.has(syncer.resource)) throw new Error(`${syncer.resource} has a syncer already`);
    this.byResource.set(syncer.resource, syncer);
  }

  of(resource: Resource): Syncer {
    const syncer = this.byResource.get(resource);
    if (!syncer) throw new Error(`Nobody synchronises ${resource}`);
    return syncer;
  }

  /** All of them, in the order of `RESOURCES`. */
  all(): Syncer[] {
    return RESOURCES.flatMap((resource) => this.byResource.get(resource) ?? []);
  }
}
