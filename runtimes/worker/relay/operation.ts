import { endpoints } from "../../../core/api/index.ts";
import { createRouter } from "../../../core/http/router.ts";
import type { RequestHead } from "../../../core/relay/frame.ts";

/** What a relayed request does on a device. */
export interface Operation {
  /** Name of the endpoint; absent if a Fairlead agent has no such path. */
  readonly name?: string;
  /** Path of the endpoint. */
  readonly path?: string;
  /** It changes nothing: a read-only token allows it, and a failure has no effects. */
  readonly reads: boolean;
  /** It creates or revokes credentials. */
  readonly manages: boolean;
}

const isReading = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS";

/** The device's own router, so that both find the same endpoint for a request. */
const router = createRouter(
  Object.entries(endpoints).map(([name, { method, path, writes, manages }]) => ({
    method,
    path,
    operation: { name, path, reads: isReading(method) && !writes, manages: manages === true },
  })),
  { ignoreCase: true },
);

/** A path that a Fairlead agent does not have is judged by its method. */
export const operationOf = ({ method, path }: Pick<RequestHead, "method" | "path">): Operation =>
  router.find({ method, url: `http://device${path}` })?.route.operation ?? { reads: isReading(method), manages: false };
