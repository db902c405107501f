import type { Method } from "../api/endpoint.ts";

interface Located {
  readonly method: Method;
  /** Segments that begin with a colon are parameters; a last segment `*` is any rest of the path, or none. */
  readonly path: string;
}

export interface Match<R> {
  readonly route: R;
  /** Path parameters as they stand in the path, still percent-encoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Query parameters, decoded; one that is given more than once is left out. */
  readonly query: Readonly<Record<string, string>>;
}

export interface Router<R> {
  /** The first route that fits; HEAD is answered as GET. */
  readonly find: (request: Pick<Request, "method" | "url">) => Match<R> | undefined;
  /** The methods of all routes that fit a path. */
  readonly methodsOf: (pathname: string) => readonly string[];
}

interface Options {
  /** Whether the literal segments of a path match in any case. */
  readonly ignoreCase?: boolean;
}

/** Routes by method and path. One slash at the end of a path is ignored. */
export function createRouter<R extends Located>(routes: readonly R[], { ignoreCase = false }: Options = {}): Router<R> {
  const literal = (segment: string) => (ignoreCase && !segment.startsWith(":") ? segment.toLowerCase() : segment);
  const patterns = routes.map((route) => ({ route, segments: segmentsOf(route.path).map(literal) }));
  // Nearly every request has one of our paths letter by letter, without a query.
  const exact = new Map(
    routes
      .filter(({ path }) => !/[:*]/.test(path))
      .map((route): [string, Match<R>] => [`${route.method} ${route.path}`, { route, params: {}, query: {} }]),
  );
  return {
    find({ method: sent, url }) {
      const method = sent === "HEAD" ? "GET" : sent;
      const known = exact.get(`${method} ${url.slice(url.indexOf("/", url.indexOf("//") + 2))}`);
      if (known) return known;
      const { pathname, searchParams } = new URL(url);
      const given = segmentsOf(pathname);
      for (const { route, segments } of patterns) {
        const params = route.method === method ? match(segments, given, ignoreCase) : undefined;
        if (params) return { route, params, query: singleValues(searchParams) };
      }
      return undefined;
    },
    methodsOf(pathname) {
      const given = segmentsOf(pathname);
      return patterns.flatMap(({ route, segments }) => (match(segments, given, ignoreCase) ? [route.method] : []));
    },
  };
}

const segmentsOf = (pathname: string): readonly string[] => pathname.replace(/^\/|\/$/g, "").split("/");

function match(segments: readonly string[], given: readonly string[], ignoreCase: boolean) {
  const params: Record<string, string> = {};
  for (const [n, segment] of segments.entries()) {
    if (segment === "*") return params;
    const value = given[n] ?? "";
    if (segment.startsWith(":") && value !== "") params[segment.slice(1)] = value;
    else if (segment !== (ignoreCase ? value.toLowerCase() : value)) return undefined;
  }
  return given.length === segments.length ? params : undefined;
}

function singleValues(query: URLSearchParams): Readonly<Record<string, string>> {
  const values = new Map<string, string | undefined>();
  for (const [name, value] of query) values.set(name, values.has(name) ? undefined : value);
  return Object.fromEntries([...values].flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
