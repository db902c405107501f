/** The known word that was probably meant: it differs in few letters. Undefined if there is none. */
function nearest(word: string, known: readonly string[]): string | undefined {
  const most = word.length < 4 ? 1 : 2;
  const [best] = known
    .filter((one) => Math.abs(one.length - word.length) <= most)
    .map((one) => ({ one, distance: distance(word.toLowerCase(), one.toLowerCase()) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance);
  return best?.one;
}

/** `; did you mean "image"?`, or an empty text. */
export const didYouMean = (word: string, known: readonly string[]): string => {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `; did you mean ${JSON.stringify(meant)}?`;
};

/** The number of letters to change, add, remove or swap with a neighbour (optimal string alignment). */
function distance(a: string, b: string): number {
  let [before, previous]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const [left = 0, above = 0, diagonal = 0] = [row[j - 1], previous[j], previous[j - 1]];
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min(left + 1, above + 1, diagonal + cost, swapped));
    }
    [before, previous] = [previous, row];
  }
  return previous[b.length] ?? 0;
}
