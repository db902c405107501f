import { patternOf } from "../../../core/api/endpoint.ts";
import { endpoints } from "../../../core/api/index.ts";
import type { RequestHead } from "../../../core/relay/frame.ts";

/** What a relayed request asks of a device. */
export interface Operation {
  /** That of the endpoint; absent: a Fairlead agent has no such path. */
  readonly name?: string;
  /** That of the endpoint. */
  readonly path?: string;
  /** It changes nothing: a token that may only read may ask for it, and a failure leaves no doubt. */
  readonly reads: boolean;
  /** It makes or ends credentials. */
  readonly manages: boolean;
}

const isReading = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS";

const known = Object.entries(endpoints).map(([name, { method, path, writes, manages }]) => ({
  method,
  path,
  pattern: patternOf(path),
  operation: { name, path, reads: isReading(method) && !writes, manages: manages === true },
}));

/** Nearly every request names one of our paths letter by letter. */
const exact = new Map<string, Operation>(known.map(({ method, path, operation }) => [`${method} ${path}`, operation]));

/** Found as the device's own router finds it, which answers HEAD as GET. A path of nobody's is judged by its method. */
export function operationOf({ method: asked, path }: Pick<RequestHead, "method" | "path">): Operation {
  const method = asked === "HEAD" ? "GET" : asked;
  const found = exact.get(`${method} ${path}`);
  if (found) return found;
  const { pathname } = new URL(`http://device${path}`);
  return (
    known.find((one) => one.method === method && one.pattern.test(pathname))?.operation ?? {
      reads: isReading(asked),
      manages: false,
    }
  );
}
