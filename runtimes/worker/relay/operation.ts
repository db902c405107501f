import { knowsKeys } from "../../../core/api/device/health.ts";
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
  /** It opens a shell in a container, or concerns an open one. */
  readonly shell?: "opened" | "used" | undefined;
  /** The service of a shell, as it stands in the path. */
  readonly service?: string | undefined;
}

const isReading = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS";

/** The device's own router, so that both find the same endpoint for a request. */
const router = createRouter(
  Object.entries(endpoints).map(([name, { method, path, writes, manages, shell }]) => ({
    method,
    path,
    operation: { name, path, reads: isReading(method) && !writes, manages: manages === true, shell: shell?.is },
  })),
  { ignoreCase: true },
);

/** A path that a Fairlead agent does not have is judged by its method. */
export function operationOf({ method, path }: Pick<RequestHead, "method" | "path">): Operation {
  const found = router.find({ method, url: `http://device${path}` });
  if (!found) return { reads: isReading(method), manages: false };
  const { operation } = found.route;
  return operation.shell ? { ...operation, service: found.params["service"] } : operation;
}

/** As a device answers it: clients of the administration learn that their requests act once. */
export const answerPing = (): Response => new Response("OK", { headers: knowsKeys });
