import { empty, endpoint, none, reply } from "../../../core/api/endpoint.ts";
import { adminRoute } from "../../../runtimes/worker/admin/route.ts";
import { deviceRoute } from "../../../runtimes/worker/device-api/route.ts";

/** The compiler is the test: routes of the cloud are named by endpoints of the OpenAPI document. */

const hidden = endpoint({
  ...{ method: "GET", path: "/admin/v1/hidden", summary: "Not in the document", params: none, body: none },
  replies: { 200: empty },
});
const answer = () => new Response();

export const routes = [
  // @ts-expect-error It is not in the list of the administration.
  () => adminRoute(hidden, () => reply(200, undefined)),
  // @ts-expect-error No endpoint of the administration has this name.
  () => adminRoute("hidden", () => reply(200, undefined)),
  // @ts-expect-error The endpoint declares no status 299.
  () => adminRoute("fleets", () => reply(299, [])),
  // @ts-expect-error No endpoint between devices and cloud has this name.
  () => deviceRoute("hidden", { answer }),
  () => adminRoute("fleets", () => reply(200, [])),
  () => deviceRoute("report", { answer }),
];
