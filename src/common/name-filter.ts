/** Whether a name holds `part`, whatever the case and however its characters are composed. Accents count. */
export function nameFilter(part: string | undefined): (row: { name: string | null }) => boolean {
  if (part === undefined) return () => true;
  const wanted = foldName(part);
  return ({ name }) => name !== null && foldName(name).includes(wanted);
}

/** A name as filters compare it. Lower case first: so that ß meets SS and both sigmas meet. */
export function foldName(text: string): string {
  return text.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFC');
}
