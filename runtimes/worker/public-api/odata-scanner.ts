export type Literal = string | number | boolean | null;

/** Text that is not OData, or not the part of it that is supported. */
export class ODataError extends Error {}

/** Reads tokens from a text. */
export class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  expect(token: string): void {
    if (!this.take(token)) throw this.error(JSON.stringify(token));
  }

  end(): void {
    this.spaces();
    if (this.#at < this.#text.length) throw this.error("the end");
  }

  /** Whether there is white space; it is read. */
  space(): boolean {
    return this.#match(/[ \t]+/y) !== undefined;
  }
  spaces(): void {
    this.space();
  }

  /** A word between spaces, or nothing is read. */
  word(word: string): boolean {
    const before = this.#at;
    if (this.space() && this.take(word) && (this.space() || this.#text[this.#at] === "(")) return true;
    this.#at = before;
    return false;
  }

  name(): string {
    const name = this.#match(/[A-Za-z_][A-Za-z0-9_]*/y);
    if (name === undefined) throw this.error("a name");
    if (this.#text[this.#at] === "/" && this.#text[this.#at + 1] !== "$" && this.#at + 1 < this.#text.length)
      throw new ODataError(`Paths such as ${name}/… are not supported`);
    return name;
  }

  option(): string {
    const name = this.#match(/\$[a-z]+/y);
    if (name === undefined) throw this.error("an option such as $select");
    return name;
  }

  list<T>(name: string, most: number, read: () => T): readonly T[] {
    const all: T[] = [];
    do {
      if (all.length >= most) throw new ODataError(`${name} has too many parts, expected at most ${most}`);
      this.spaces();
      all.push(read());
      this.spaces();
    } while (this.take(","));
    return all;
  }

  count(name: string): number {
    const digits = this.#match(/\d{1,9}/y);
    if (digits === undefined) throw this.error(`a number for ${name}`);
    return Number(digits);
  }

  isAtDigit(): boolean {
    return /[-\d]/.test(this.#text[this.#at] ?? "");
  }

  /** A text in single quotes (doubled within), a number, true, false or null. */
  literal(): Literal {
    const text = this.#match(/'(?:[^']|'')*'/y);
    if (text !== undefined) return text.slice(1, -1).replaceAll("''", "'");
    const number = this.#match(/-?\d{1,15}(?:\.\d{1,15})?(?![\w.])/y);
    if (number !== undefined) return Number(number);
    const word = this.#match(/(?:true|false|null)\b/y);
    if (word !== undefined) return word === "null" ? null : word === "true";
    throw this.error("a text in quotes, a number, true, false or null");
  }

  error(expected: string, got = this.#text.slice(this.#at, this.#at + 20)): ODataError {
    return new ODataError(`Expected ${expected}, but got ${got === "" ? "the end" : JSON.stringify(got)}`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
