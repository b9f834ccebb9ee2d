import { foldName } from '../common/name-filter';
import { storedJson, storedText } from '../mirror/stored-json';
import { groupsOf, type ProfileFilters } from './profile-filters';

/** The values of one statement, in the order in which its text names them: user and connection first. */
export class Parameters {
  readonly values: unknown[] = [];

  /** @param connection how the statement names the connection: its second value, or the row `k` that it finds first */
  constructor(
    userId: number,
    connectionId: string | null,
    readonly connection: '$2' | 'k.id' = '$2',
  ) {
    this.values.push(userId, connectionId);
  }

  /** @returns how the statement names the value */
  add(value: unknown): string {
    this.values.push(value);
    return `$${String(this.values.length)}`;
  }
}

/** Who is looked for, as conditions on `mirrored_profile AS p`. */
export function conditionsOf(filters: ProfileFilters, parameters: Parameters): string[] {
  const { email, phoneNumber, externalId, name, tag, attribute, updatedSince, updatedUntil } = filters;
  const one = (sql: (value: string) => string, value: unknown) =>
    value === undefined ? [] : [sql(parameters.add(value))];
  return [
    'p.deleted_at IS NULL',
    ...one((value) => `p.email = ${value}`, email?.toLowerCase()),
    ...one((value) => `p.phone = ${value}`, phoneNumber),
    ...one((value) => `p.external_id = ${value}`, externalId && storedText(externalId)),
    ...one((value) => `p.name LIKE ${value}`, name === undefined ? undefined : `%${escaped(foldName(name))}%`),
    ...one((value) => `p.searchable @> ${value}`, tag === undefined ? undefined : storedJson({ t: [tag] })),
    ...(attribute === undefined ? [] : [hasAttribute(attribute, parameters)]),
    ...one((value) => `p.updated_at >= ${value}`, updatedSince),
    ...one((value) => `p.updated_at < ${value}`, updatedUntil),
    ...groupsOf(filters).map(
      ({
        kind,
        id,
      }) => `EXISTS (SELECT 1 FROM membership AS m WHERE m.user_id = $1 AND m.connection_id = ${parameters.connection}
        AND m.kind = '${kind}' AND m.group_id = ${parameters.add(id)} AND m.profile_id = p.klaviyo_id
        AND m.left_at IS NULL)`,
    ),
  ];
}

/** A query has texts alone: `13` is also the number, `true` also the truth value, and each may be one of several. */
function hasAttribute({ key, value }: { key: string; value: string }, parameters: Parameters): string {
  const values: unknown[] = [value];
  if (value.trim() !== '' && Number.isFinite(Number(value))) values.push(Number(value));
  if (value === 'true' || value === 'false') values.push(value === 'true');
  const shapes = values.flatMap((item) => [item, [item]]);
  const any = shapes.map((item) => `p.searchable @> ${parameters.add(storedJson({ a: { [key]: item } }))}`);
  return `(${any.join(' OR ')})`;
}

/** For LIKE, whose own characters are `%`, `_` and `\`. */
function escaped(part: string): string {
  return storedText(part).replace(/[\\%_]/g, (character) => `\\${character}`);
}
