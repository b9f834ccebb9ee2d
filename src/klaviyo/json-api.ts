/** The documents that Klaviyo speaks. Every attribute may be null or absent: older schemas do not say which. */

export interface ResourceId {
  type: string;
  id: string;
}

export interface Relationship {
  data?: ResourceId | readonly ResourceId[] | null;
  links?: Readonly<Record<string, string | null>>;
}

export interface Resource<A = Readonly<Record<string, unknown>>> extends ResourceId {
  attributes: A;
  relationships?: Readonly<Record<string, Relationship>>;
  links?: Readonly<Record<string, string | null>>;
  meta?: Readonly<Record<string, unknown>>;
}

/** One resource, e.g. the answer of `getList`. */
export interface Document<A = Readonly<Record<string, unknown>>> {
  data: Resource<A>;
  included?: readonly Resource[];
  links?: Readonly<Record<string, string | null>>;
  meta?: Readonly<Record<string, unknown>>;
}

/** One page of resources; `links.next` is followed by the client alone. */
export interface Collection<A = Readonly<Record<string, unknown>>> {
  data: readonly Resource<A>[];
  included?: readonly Resource[];
  links?: Readonly<Record<string, string | null>>;
  meta?: Readonly<Record<string, unknown>>;
}

/** The references under a relationship; none when Klaviyo gave only links (its habit without `include`). */
export function relatedIds(resource: Pick<Resource, 'relationships'>, name: string): readonly ResourceId[] {
  const data = resource.relationships?.[name]?.data;
  if (data === undefined || data === null) return [];
  return isMany(data) ? data : [data];
}

/** Looks resources of `included` up by type and id, each in constant time. */
export class Included {
  private readonly byKey: ReadonlyMap<string, Resource>;

  constructor(included: readonly Resource[] | undefined) {
    this.byKey = new Map((included ?? []).map((resource) => [`${resource.type}\n${resource.id}`, resource]));
  }

  get(reference: ResourceId): Resource | undefined {
    return this.byKey.get(`${reference.type}\n${reference.id}`);
  }

  /** The included resources that a relationship points to, in its order; what was not included is left out. */
  related(resource: Pick<Resource, 'relationships'>, name: string): Resource[] {
    return relatedIds(resource, name).flatMap((reference) => this.get(reference) ?? []);
  }
}

function isMany(data: ResourceId | readonly ResourceId[]): data is readonly ResourceId[] {
  return Array.isArray(data);
}
