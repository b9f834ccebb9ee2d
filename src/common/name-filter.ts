/** Whether a name holds `part`, whatever the case and however its characters are composed. Accents count. */
export function nameFilter(part: string | undefined): (row: { name: string | null }) => boolean {
  if (part === undefined) return () => true;
  const wanted = fold(part);
  return ({ name }) => name !== null && fold(name).includes(wanted);
}

/** Lower case first: so that ß meets SS and both sigmas meet. */
function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase().toUpperCase().normalize('NFC');
}
