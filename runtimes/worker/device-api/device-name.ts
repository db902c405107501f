/** A name for a new device, derived from its uuid: "weathered-stream". */
export function nameFor(uuid: string): string {
  const pick = (words: readonly string[], at: number): string =>
    words[Number.parseInt(uuid.slice(at, at + 4), 16) % words.length] ?? "device";
  return `${pick(adjectives, 0)}-${pick(nouns, 4)}`;
}

const adjectives =
  "amber autumn blue bold bright calm clear cold copper crisp dawn deep early fair fleet gentle green hidden humble keen late light lively long lunar mild misty morning mossy noble north open pale patient plain polar quiet rapid restless rough silent silver small snowy solar spring steady still summer swift tidy twilight warm weathered white wild windy winter young".split(
    " ",
  );
const nouns =
  "anchor bay beacon bird boat bow breeze bridge brook buoy canal cape channel cliff cloud coast cove creek current delta dune estuary ferry fjord gale glade grove gulf harbour haven hill island jetty keel lagoon lake lantern lighthouse mast meadow moon moor oar ocean pier pine port quay reef ridge river sail sea shore sound star stone strait stream tide wave wharf wind".split(
    " ",
  );
