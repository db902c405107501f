import { ODataError, Scanner, type Literal } from "./odata-scanner.ts";

export type { Literal } from "./odata-scanner.ts";

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
    const scanner = new Scanner(decode(path));
    scanner.expect("/");
    const resource = scanner.name();
    const key = scanner.take("(") ? readKey(scanner) : undefined;
    const count = scanner.take("/$count");
    scanner.take("/");
    scanner.end();
    const options = [...search].filter(([name]) => name.startsWith("$"));
    const query = options.reduce<Query>(
      (made, [name, text]) => withOption(made, name, once(new Scanner(text)), 0, true),
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

function refuseRepeated(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw new ODataError(`${name} is given twice`);
    seen.add(name);
  }
}

function attempt<T>(read: () => T): Parsed<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (error instanceof ODataError) return { ok: false, message: error.message };
    throw error;
  }
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ODataError(`The path is not valid %-encoding: ${path}`);
  }
}

/** `whole`: the option is all that the scanner has; else it ends before `;` or `)`. */
function withOption(query: Query, name: string, scanner: Scanner, depth: number, whole: boolean): Query {
  const read = (): Query => {
    switch (name) {
      case "$select":
        return { ...query, select: scanner.list(name, mostNames, () => scanner.name()) };
      case "$expand": {
        const expand = scanner.list(name, mostNames, () => readExpansion(scanner, depth + 1));
        refuseRepeated(expand.map((one) => one.name));
        return { ...query, expand };
      }
      case "$filter":
        return { ...query, filter: readFilter(scanner) };
      case "$orderby":
        return { ...query, orderBy: scanner.list(name, mostTerms, () => readOrder(scanner)) };
      case "$top":
        return { ...query, top: scanner.count(name) };
      case "$skip":
        return { ...query, skip: scanner.count(name) };
      default:
        throw new ODataError(
          `${name} is not supported, expected one of $select, $expand, $filter, $orderby, $top and $skip`,
        );
    }
  };
  const made = read();
  if (whole) scanner.end();
  return made;
}

/** Spaces around an option as a whole mean nothing. */
function once(scanner: Scanner): Scanner {
  scanner.spaces();
  return scanner;
}

function readExpansion(scanner: Scanner, depth: number): Expansion {
  if (depth > deepestExpansion)
    throw new ODataError(`$expand is nested too deeply, expected at most ${deepestExpansion} levels`);
  const name = scanner.name();
  let query = blank;
  if (scanner.take("(")) {
    do {
      const option = scanner.option();
      scanner.expect("=");
      query = withOption(query, option, once(scanner), depth, false);
    } while (scanner.take(";"));
    scanner.expect(")");
  }
  return { name, query };
}

function readOrder(scanner: Scanner): Order {
  const field = scanner.name();
  if (!scanner.space()) return { field, descending: false };
  const direction = scanner.name();
  if (direction !== "asc" && direction !== "desc") throw scanner.error("asc or desc", direction);
  return { field, descending: direction === "desc" };
}

function readFilter(scanner: Scanner): Filter {
  let terms = 0;
  const all = (depth: number): Filter => {
    if (depth > deepest) throw new ODataError(`$filter is nested too deeply, expected at most ${deepest} levels`);
    const inner = [term(depth)];
    while (scanner.word("and")) inner.push(term(depth));
    const [only] = inner;
    return only && inner.length === 1 ? only : { is: "and", all: inner };
  };
  const term = (depth: number): Filter => {
    scanner.spaces();
    if (scanner.take("(")) {
      const inner = all(depth + 1);
      scanner.spaces();
      scanner.expect(")");
      return inner;
    }
    if (++terms > mostTerms) throw new ODataError(`$filter has too many terms, expected at most ${mostTerms}`);
    return readTerm(scanner);
  };
  return all(0);
}

function readTerm(scanner: Scanner): Filter {
  const field = scanner.name();
  if (scanner.take("(")) return readFunction(scanner, field);
  if (!scanner.space()) throw scanner.error("eq or ne");
  const is = scanner.name();
  if (is !== "eq" && is !== "ne") throw scanner.error("eq or ne", is);
  if (!scanner.space()) throw scanner.error("a value");
  return { is, field, value: scanner.literal() };
}

function readFunction(scanner: Scanner, name: string): Filter {
  if (name !== "startswith") throw scanner.error("startswith(field,'text')", `${name}(`);
  scanner.spaces();
  const field = scanner.name();
  scanner.spaces();
  scanner.expect(",");
  scanner.spaces();
  const prefix = scanner.literal();
  if (typeof prefix !== "string") throw scanner.error("a text in quotes", String(prefix));
  scanner.spaces();
  scanner.expect(")");
  return { is: "startswith", field, prefix };
}

/** `(1)`, `(uuid='…')` or `(device=1,name='…')`; the opening one is read. */
function readKey(scanner: Scanner): Filter {
  scanner.spaces();
  if (scanner.isAtDigit()) {
    const value = scanner.literal();
    scanner.expect(")");
    return { is: "eq", field: "id", value };
  }
  const all = scanner.list("The key", mostKeyFields, (): Filter => {
    const field = scanner.name();
    scanner.expect("=");
    return { is: "eq", field, value: scanner.literal() };
  });
  scanner.expect(")");
  const [only] = all;
  return only && all.length === 1 ? only : { is: "and", all };
}
