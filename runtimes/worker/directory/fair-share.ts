/** The most that each may have so that all together have at most `most`. */
export function fairShare(counts: readonly number[], most: number): number {
  let remaining = most;
  for (const [n, count] of counts.toSorted((a, b) => a - b).entries()) {
    const share = Math.floor(remaining / (counts.length - n));
    if (count > share) return share;
    remaining -= count;
  }
  return Infinity;
}
