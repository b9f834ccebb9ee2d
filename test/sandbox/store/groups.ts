import { SECOND } from '../clock.ts';
import { Permutation } from '../random.ts';
import type { MemberRow } from './rows.ts';
import type { Base, Order } from './table.ts';
import { emptyBase, Table } from './table.ts';

export type Members = Table<MemberRow>;

interface ProfileIds {
  count: number;
  id: (index: number) => string;
  indexOf: (id: string) => number;
  created: (index: number) => number;
}

/** Generated members of a list or segment: the first `count` places of a permutation of the profiles. */
class GeneratedMembers implements Base<MemberRow> {
  readonly count: number;
  readonly orders: Record<string, Order>;
  private readonly profiles: ProfileIds;
  private readonly places: Permutation;
  private readonly from: number;
  private readonly step: number;

  constructor(profiles: ProfileIds, count: number, seed: number, from: number, to: number) {
    this.profiles = profiles;
    this.count = Math.min(count, profiles.count);
    this.places = new Permutation(profiles.count, seed);
    this.from = from;
    this.step = (to - from) / Math.max(this.count, 1);
    this.orders = { joined_group_at: { at: (p) => p, positionOf: (i) => i, key: (i) => this.joined(i) } };
  }

  id(index: number): string {
    return this.profiles.id(this.places.at(index));
  }

  indexOf(id: string): number {
    const profile = this.profiles.indexOf(id);
    if (profile < 0) return -1;
    const place = this.places.indexOf(profile);
    return place < this.count ? place : -1;
  }

  row(index: number): MemberRow {
    return { id: this.id(index), joined: this.joined(index) };
  }

  peek(index: number, field: string): unknown {
    if (field === 'joined_group_at') return this.joined(index);
    return field === 'profile_id' ? this.id(index) : undefined;
  }

  private joined(index: number): number {
    return Math.floor((this.from + index * this.step) / SECOND) * SECOND;
  }
}

/** The members of one group: `count` generated ones, and whoever joins or leaves later. */
export function membersOf(profiles: ProfileIds, count: number, seed: number, from: number, to: number): Members {
  const base =
    count > 0 && profiles.count > 0
      ? new GeneratedMembers(profiles, count, seed, from, to)
      : emptyBase<MemberRow>(['joined_group_at']);
  return new Table<MemberRow>(base, { joined_group_at: (row) => row.joined }, (row, field) =>
    field === 'joined_group_at' ? row.joined : field === 'profile_id' ? row.id : undefined,
  );
}
