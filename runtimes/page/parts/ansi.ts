/** Parts of a line of a log: text with the class of its colour, and characters that would be invisible. */
export interface Part {
  readonly text: string;
  /** Of the style sheet: "bold", "a1" (red) … "a7", "odd". */
  readonly classes: string;
}

// Colours and weights (SGR); every other sequence is left out.
const sequence = /\u001b\[([\d;]*)m|\u001b\[[\d;?]*[A-Za-ln-z]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;

// Control characters, and those that change the direction of the text around them.
const odd = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

export function toParts(line: string): readonly Part[] {
  if (!odd.test(line)) return [{ text: line, classes: "" }];
  const parts: Part[] = [];
  let classes: readonly string[] = [];
  let end = 0;
  for (const match of line.matchAll(sequence)) {
    parts.push(...withVisible(line.slice(end, match.index), classes));
    end = match.index + match[0].length;
    if (match[1] !== undefined) classes = styled(classes, match[1]);
  }
  parts.push(...withVisible(line.slice(end), classes));
  return parts;
}

function styled(before: readonly string[], codes: string): readonly string[] {
  let classes = before;
  for (const code of codes === "" ? [0] : codes.split(";").map(Number)) {
    const colour = code >= 30 && code <= 37 ? code - 30 : code >= 90 && code <= 97 ? code - 90 : undefined;
    if (code === 0) classes = [];
    else if (code === 1) classes = [...classes, "bold"];
    else if (code === 39) classes = classes.filter((name) => !name.startsWith("a"));
    else if (colour !== undefined) classes = [...classes.filter((name) => !name.startsWith("a")), `a${colour}`];
  }
  return classes;
}

function withVisible(text: string, classes: readonly string[]): readonly Part[] {
  return text
    .split(new RegExp(`(${odd.source})`))
    .filter((piece) => piece !== "")
    .map((piece) =>
      piece.length === 1 && odd.test(piece)
        ? { text: visible(piece), classes: "odd" }
        : { text: piece, classes: classes.join(" ") },
    );
}

/** A carriage return at the end of a line of a terminal says nothing. */
function visible(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x0d) return "";
  return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}
