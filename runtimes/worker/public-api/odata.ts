/**
 * The part of OData that the public clients speak, from text to a value: `$select`, `$expand` with options of its own,
 * `$filter` of comparisons, `$orderby`, `$top`, `$skip` and `$count`; resources with a key. What is beyond that is refused
 * with a sentence. (The published parser of this dialect is 147 kB and calls `eval`, which a Worker may not.)
 */
export interface Query {
  /** Absent: every field. */
  readonly select?: readonly string[];
  readonly expand: readonly Expansion[];
  readonly filter?: Filter;
  readonly orderBy: readonly Order[];
  readonly top?: number;
  readonly skip?: number;
}

interface Expansion {
  readonly name: string;
  readonly query: Query;
}

interface Order {
  readonly field: string;
  readonly descending: boolean;
}

export type Literal = string | number | boolean | null;

export type Filter =
  | { readonly is: "eq" | "ne"; readonly field: string; readonly value: Literal }
  | { readonly is: "startswith"; readonly field: string; readonly prefix: string }
  | { readonly is: "and"; readonly all: readonly Filter[] };

/** `/device(uuid='…')?$select=id`, read. */
export interface Address {
  readonly resource: string;
  /** What the key says, as a filter. */
  readonly key?: Filter;
  /** `/device/$count`: the number of rows instead of the rows. */
  readonly count: boolean;
  readonly query: Query;
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

/** `path` begins after the version: `/device(1)`. Options that do not begin with `$` are not OData's, and ignored. */
export function parseAddress(path: string, search: URLSearchParams): Parsed<Address> {
  return attempt(() => {
    const reader = new Reader(decode(path));
    reader.expect("/");
    const resource = reader.name();
    const key = reader.take("(") ? readKey(reader) : undefined;
    const count = reader.take("/$count");
    reader.take("/");
    reader.end();
    const options = [...search].filter(([name]) => name.startsWith("$"));
    const query = options.reduce<Query>(
      (made, [name, text]) => withOption(made, name, once(new Reader(text)), 0, true),
      blank,
    );
    refuseRepeated(options.map(([name]) => name));
    return { resource, ...(key && { key }), count, query };
  });
}

const blank: Query = { expand: [], orderBy: [] };

/** Parentheses within each other; no client nests even half as deep. */
const deepest = 16;
/** The public clients expand three levels: device, image_install, image, service. */
const deepestExpansion = 4;
/** What a list names; no table has as many fields. */
const mostNames = 100;
/** A comparison takes one or two of the 100 variables that a statement of SQLite may have here; a key, one for each field. */
const mostTerms = 40;
const mostKeyFields = 10;

class Refusal extends Error {}

function refuseRepeated(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw new Refusal(`${name} is given twice`);
    seen.add(name);
  }
}

function attempt<T>(read: () => T): Parsed<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, message: error.message };
    throw error;
  }
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new Refusal(`The path is not valid %-encoding: ${path}`);
  }
}

/** `whole`: the option is all that the reader has; else it ends before `;` or `)`. */
function withOption(query: Query, name: string, reader: Reader, depth: number, whole: boolean): Query {
  const read = (): Query => {
    switch (name) {
      case "$select":
        return { ...query, select: reader.list(name, mostNames, () => reader.name()) };
      case "$expand": {
        const expand = reader.list(name, mostNames, () => readExpansion(reader, depth + 1));
        refuseRepeated(expand.map((one) => one.name));
        return { ...query, expand };
      }
      case "$filter":
        return { ...query, filter: readFilter(reader) };
      case "$orderby":
        return { ...query, orderBy: reader.list(name, mostTerms, () => readOrder(reader)) };
      case "$top":
        return { ...query, top: reader.count(name) };
      case "$skip":
        return { ...query, skip: reader.count(name) };
      default:
        throw new Refusal(
          `${name} is not supported, expected one of $select, $expand, $filter, $orderby, $top and $skip`,
        );
    }
  };
  const made = read();
  if (whole) reader.end();
  return made;
}

/** Spaces around an option as a whole mean nothing. */
function once(reader: Reader): Reader {
  reader.spaces();
  return reader;
}

function readExpansion(reader: Reader, depth: number): Expansion {
  if (depth > deepestExpansion)
    throw new Refusal(`$expand is nested too deeply, expected at most ${deepestExpansion} levels`);
  const name = reader.name();
  let query = blank;
  if (reader.take("(")) {
    do {
      const option = reader.option();
      reader.expect("=");
      query = withOption(query, option, once(reader), depth, false);
    } while (reader.take(";"));
    reader.expect(")");
  }
  return { name, query };
}

function readOrder(reader: Reader): Order {
  const field = reader.name();
  if (!reader.space()) return { field, descending: false };
  const direction = reader.name();
  if (direction !== "asc" && direction !== "desc") throw reader.refusal("asc or desc", direction);
  return { field, descending: direction === "desc" };
}

function readFilter(reader: Reader): Filter {
  let terms = 0;
  const all = (depth: number): Filter => {
    if (depth > deepest) throw new Refusal(`$filter is nested too deeply, expected at most ${deepest} levels`);
    const inner = [term(depth)];
    while (reader.word("and")) inner.push(term(depth));
    const [only] = inner;
    return only && inner.length === 1 ? only : { is: "and", all: inner };
  };
  const term = (depth: number): Filter => {
    reader.spaces();
    if (reader.take("(")) {
      const inner = all(depth + 1);
      reader.spaces();
      reader.expect(")");
      return inner;
    }
    if (++terms > mostTerms) throw new Refusal(`$filter has too many terms, expected at most ${mostTerms}`);
    return readTerm(reader);
  };
  return all(0);
}

function readTerm(reader: Reader): Filter {
  const field = reader.name();
  if (reader.take("(")) return readFunction(reader, field);
  if (!reader.space()) throw reader.refusal("eq or ne");
  const is = reader.name();
  if (is !== "eq" && is !== "ne") throw reader.refusal("eq or ne", is);
  if (!reader.space()) throw reader.refusal("a value");
  return { is, field, value: reader.literal() };
}

function readFunction(reader: Reader, name: string): Filter {
  if (name !== "startswith") throw reader.refusal("startswith(field,'text')", `${name}(`);
  reader.spaces();
  const field = reader.name();
  reader.spaces();
  reader.expect(",");
  reader.spaces();
  const prefix = reader.literal();
  if (typeof prefix !== "string") throw reader.refusal("a text in quotes", String(prefix));
  reader.spaces();
  reader.expect(")");
  return { is: "startswith", field, prefix };
}

/** `(1)`, `(uuid='…')` or `(device=1,name='…')`; the opening one is read. */
function readKey(reader: Reader): Filter {
  reader.spaces();
  if (reader.isAtDigit()) {
    const value = reader.literal();
    reader.expect(")");
    return { is: "eq", field: "id", value };
  }
  const all = reader.list("The key", mostKeyFields, (): Filter => {
    const field = reader.name();
    reader.expect("=");
    return { is: "eq", field, value: reader.literal() };
  });
  reader.expect(")");
  const [only] = all;
  return only && all.length === 1 ? only : { is: "and", all };
}

/** A text and how far it is read. */
class Reader {
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
    if (!this.take(token)) throw this.refusal(JSON.stringify(token));
  }

  end(): void {
    this.spaces();
    if (this.#at < this.#text.length) throw this.refusal("the end");
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
    if (name === undefined) throw this.refusal("a name");
    if (this.#text[this.#at] === "/" && this.#text[this.#at + 1] !== "$" && this.#at + 1 < this.#text.length)
      throw new Refusal(`Paths such as ${name}/… are not supported`);
    return name;
  }

  option(): string {
    const name = this.#match(/\$[a-z]+/y);
    if (name === undefined) throw this.refusal("an option such as $select");
    return name;
  }

  list<T>(name: string, most: number, read: () => T): readonly T[] {
    const all: T[] = [];
    do {
      if (all.length >= most) throw new Refusal(`${name} has too many parts, expected at most ${most}`);
      this.spaces();
      all.push(read());
      this.spaces();
    } while (this.take(","));
    return all;
  }

  count(name: string): number {
    const digits = this.#match(/\d{1,9}/y);
    if (digits === undefined) throw this.refusal(`a number for ${name}`);
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
    throw this.refusal("a text in quotes, a number, true, false or null");
  }

  refusal(expected: string, got = this.#text.slice(this.#at, this.#at + 20)): Refusal {
    return new Refusal(`Expected ${expected}, but got ${got === "" ? "the end" : JSON.stringify(got)}`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
