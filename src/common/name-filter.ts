/** Whether a name holds `part`, whatever the case and however its characters are composed. Accents count. */
export function nameFilter(part: string | undefined): (row: { name: string | null }) => boolean {
  if (part === undefined) return () => true;
  const wanted = foldName(part);
  return ({ name }) => name !== null && foldName(name).includes(wanted);
}

const ASCII = /^[ -~]*$/;

/** A name as filters compare it. Lower case first: so that ß meets SS and both sigmas meet. */
export function foldName(text: string): string {
  // Most names by far, and folded by the million.
  if (ASCII.test(text)) return text.toUpperCase();
  return text.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFC');
}
