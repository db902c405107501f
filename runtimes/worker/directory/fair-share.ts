/** How many each may have at most of what there is, so that all together have no more than `most`. */
export function fairShare(counts: readonly number[], most: number): number {
  let left = most;
  for (const [n, count] of counts.toSorted((a, b) => a - b).entries()) {
    const share = Math.floor(left / (counts.length - n));
    if (count > share) return share;
    left -= count;
  }
  return Infinity;
}
