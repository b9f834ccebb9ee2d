/** One way in which this project and a file of Klaviyo's do not agree. */
export interface Difference {
  /** The revision whose file says otherwise. */
  revision: string;
  /** What it is about, e.g. `GET /api/lists (getLists)`. */
  where: string;
  /** What is different, as half a sentence. */
  what: string;
  /** The file of ours to touch. */
  touch: string;
}

/** One sentence: where, what, and which file of ours to touch. */
export function sentence({ revision, where, what, touch }: Difference): string {
  return `Klaviyo ${revision}, ${where}: ${what}; change ${touch}.`;
}

/** Each sentence once, in order. */
export function sentences(differences: readonly Difference[]): string[] {
  return [...new Set(differences.map(sentence))];
}
