import createClient from "openapi-fetch";
import type { paths as CloudPaths } from "./node_modules/.made/cloud.d.ts";
import type { paths } from "./node_modules/.made/device.d.ts";

/** Ten calls with the client that openapi-typescript and openapi-fetch make; what was answered is printed as JSON. */

declare const process: { readonly argv: readonly string[] };
const baseUrl = process.argv[2] ?? "";
const device = createClient<paths>({ baseUrl });
const application = { params: { path: { appId: 7 } } };

const ping = await device.GET("/ping", { parseAs: "text" });
const version = await device.GET("/v2/version");
const target = await device.POST("/v2/local/target-state", {
  body: {
    local: {
      name: "porch",
      config: {},
      apps: {
        "7": {
          name: "garden",
          commit: "c1",
          releaseId: 1,
          services: { "1": { serviceName: "web", imageId: 1, image: "web:1", environment: {}, labels: {} } },
        },
      },
    },
  },
});
let state = await device.GET("/v2/state/status");
while (state.data?.appState !== "applied") state = await device.GET("/v2/state/status");
const stopped = await device.POST("/v2/applications/{appId}/stop-service", {
  ...application,
  body: { serviceName: "web" },
  parseAs: "text",
});
const lock = await device.POST("/v3/locks", { body: { appId: 7, ttl: 60, reason: "a test" } });
const locks = await device.GET("/v3/locks");
const released = await device.DELETE("/v3/locks/{id}", { params: { path: { id: lock.data?.id ?? "" } } });
const update = await device.GET("/v3/apps/{appId}/update", application);
const missing = await device.GET("/v3/apps/{appId}/update", { params: { path: { appId: 8 } } });
const refused: string | undefined = missing.error && "type" in missing.error ? missing.error.type : undefined;

/** That of the cloud has to compile: its server needs a Worker. */
export const devices = () => createClient<CloudPaths>({ baseUrl }).GET("/admin/v1/devices", { params: { query: {} } });

console.log(
  JSON.stringify({
    ping: ping.data,
    version: version.data?.version,
    // An answer 202 has another form.
    target: target.data && "message" in target.data ? target.data.message : undefined,
    app: state.data?.appState,
    stopped: stopped.response.status,
    lock: lock.response.status,
    locks: locks.data?.locks.length,
    released: released.response.status,
    update: update.data?.state,
    refused,
  }),
);
