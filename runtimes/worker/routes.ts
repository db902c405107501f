import { adminRoutes } from "./admin/admin.ts";
import { auditRoutes } from "./directory/audit.ts";
import { credentialRoutes } from "./admin/credentials.ts";
import { deviceRoutes } from "./device-api/device-api.ts";
import { createFinder, refuse, type Match } from "./http.ts";
import { publicRoutes } from "./public-api/public-api.ts";
import { registerRoutes } from "./device-api/register.ts";

const find = createFinder([
  ...[...adminRoutes, ...credentialRoutes, ...auditRoutes, ...registerRoutes],
  ...[...deviceRoutes, ...publicRoutes],
]);

/** What answers a request: the Worker, without a credential, and else the directory. Or the answer that there is nothing. */
export async function findRoute({ method, url }: Request): Promise<Match | Response> {
  const match = await find(method === "HEAD" ? "GET" : method, url);
  return match ?? refuse(404, `There is no ${method} ${new URL(url).pathname}`);
}
