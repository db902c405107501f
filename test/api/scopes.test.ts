import { describe, expect, test } from "vitest";
import { endpoints } from "../../core/api/index.ts";
import { toOpenApi } from "../../core/api/openapi.ts";
import type { ProxySettings } from "../../core/ports/proxy.ts";
import { everything, type Scope } from "../../core/model/scope.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { failed, json, ok, refused, seen, text, unauthorized, type Seen } from "./answers.ts";
import { cloudApp, managedDevice, type ManagedDevice } from "./managed.ts";

/** Which endpoints an application's key can use, and what each principal can see. */

const journal = { read: () => new Blob(["a line\n"]).stream() };

/** `first` (1) with `web` and `second` (2) with `db`, under this configuration. */
async function deviceWith(config: Record<string, string>): Promise<ManagedDevice> {
  const device = await managedDevice({ ports: { journal } });
  await configure(device, config);
  return device;
}

const configure = (device: ManagedDevice, config: Record<string, string>) =>
  device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) }, config);

const failedUnauthorized = failed(401, "Unauthorized");
const powerUnauthorized = json(401, { Data: "", Error: "Unauthorized" });

/** Endpoints of the whole device, each with its form of a refusal. */
const ofTheDevice: readonly [string, string, object | undefined, Seen][] = [
  ["POST", "/v1/update", {}, failedUnauthorized],
  ["POST", "/v1/blink", undefined, failedUnauthorized],
  ["POST", "/v1/reboot", {}, powerUnauthorized],
  ["POST", "/v1/shutdown", {}, powerUnauthorized],
  ["GET", "/v1/device/host-config", undefined, failedUnauthorized],
  ["PATCH", "/v1/device/host-config", { network: { hostname: "mine" } }, text(401, "Unauthorized")],
  ["GET", "/v2/device/tags", undefined, failedUnauthorized],
  ["PATCH", "/v2/device/tags", { a: "b" }, failedUnauthorized],
  ["POST", "/v2/journal-logs", {}, failedUnauthorized],
  ["GET", "/v2/local/target-state", undefined, failedUnauthorized],
  ["POST", "/v2/local/target-state", { local: { apps: {} } }, failedUnauthorized],
  ["GET", "/v2/local/logs", undefined, failedUnauthorized],
  [
    ...(["POST", "/v3/target/compose", { compose: "services: {}" }] as const),
    refused("outside-scope", "The target state of the device is not for the key of a service"),
  ],
];

const onlyShell = refused(
  "no-shell",
  "Only the device's global key, or a token with the permission shell, runs programs",
);
/** Endpoints that no key of an application can use, also not for its own services. */
const ofTheShell: readonly [string, string, object | undefined][] = [
  ["POST", "/v3/apps/1/services/web/exec", {}],
  ["GET", "/v3/exec/s1/output", undefined],
  ["POST", "/v3/exec/s1/input", {}],
  ["POST", "/v3/exec/s1/resize", {}],
  ["DELETE", "/v3/exec/s1", undefined],
];

const onlyPeople = refused("person-only", "A person decides this, with the device's global key: no service may");
/** Decisions about an update, for which no key of an application is enough. */
const ofPeople: readonly [string, string, object | undefined][] = [
  ["POST", "/v3/apps/1/update/apply", {}],
  ["POST", "/v3/apps/1/update/retry", undefined],
  ["POST", "/v3/apps/1/update/rollback", {}],
];

/** Endpoints that concern the key's own application or reveal nothing about others. */
const ofTheApplication: readonly [string, string, object | undefined, number][] = [
  ["GET", "/ping", undefined, 200],
  ["GET", "/v1/healthy", undefined, 200],
  ["GET", "/v1/device", undefined, 200],
  ["GET", "/metrics", undefined, 200],
  ["GET", "/openapi.json", undefined, 200],
  ["GET", "/docs", undefined, 200],
  ["GET", "/docs/errors", undefined, 200],
  ["GET", "/v1/apps/1", undefined, 200],
  ["GET", "/v1/apps/2", undefined, 401],
  ["POST", "/v1/apps/1/stop", {}, 200],
  ["POST", "/v1/apps/1/start", {}, 200],
  ["POST", "/v1/restart", { appId: 1 }, 200],
  ["POST", "/v1/restart", { appId: 2 }, 401],
  ["POST", "/v1/purge", { appId: 1 }, 200],
  ["POST", "/v2/applications/1/restart", {}, 200],
  ["POST", "/v2/applications/1/purge", {}, 200],
  ["POST", "/v2/applications/1/stop-service", { serviceName: "web" }, 200],
  ["POST", "/v2/applications/1/start-service", { serviceName: "web" }, 200],
  ["POST", "/v2/applications/1/restart-service", { serviceName: "web" }, 200],
  ["GET", "/v2/applications/state", undefined, 200],
  ["GET", "/v2/applications/1/state", undefined, 200],
  ["GET", "/v2/applications/2/state", undefined, 409],
  ["GET", "/v2/state/status", undefined, 200],
  ["GET", "/v2/containerId", undefined, 200],
  ["GET", "/v2/cleanup-volumes", undefined, 200],
  ["GET", "/v3/problems", undefined, 200],
  ["GET", "/v3/metrics", undefined, 200],
  ["GET", "/v2/version", undefined, 200],
  ["GET", "/v2/device/name", undefined, 200],
  ["GET", "/v2/device/vpn", undefined, 200],
  ["GET", "/v2/local/device-info", undefined, 200],
  ["GET", "/v3/logs", undefined, 200],
  ["GET", "/v3/apps/1/services/web/top", undefined, 200],
  ["GET", "/v3/apps/2/services/db/top", undefined, 401],
  ["GET", "/v3/apps/1/stats", undefined, 200],
  ["GET", "/v3/apps/2/stats", undefined, 401],
  ["GET", "/v3/apps/1/plan", undefined, 200],
  ["GET", "/v3/apps/2/plan", undefined, 401],
  ["POST", "/v3/apps/1/plan", { local: { apps: {} } }, 200],
  ["POST", "/v3/apps/2/plan", { local: { apps: {} } }, 401],
  ["GET", "/v3/events", undefined, 200],
  ["GET", "/v3/events?app=2", undefined, 401],
  ["GET", "/v3/stream?app=2", undefined, 401],
  ["GET", "/v3/apps/1/history", undefined, 200],
  ["GET", "/v3/apps/2/history", undefined, 401],
  ["GET", "/v3/apps/1/update", undefined, 200],
  ["GET", "/v3/apps/2/update", undefined, 401],
  ["POST", "/v3/apps/1/update/confirm", {}, 409],
  ["POST", "/v3/apps/2/update/confirm", {}, 401],
  ["POST", "/v3/apps/1/update/fail", { reason: "x" }, 409],
  ["POST", "/v3/apps/2/update/fail", { reason: "x" }, 401],
  ["GET", "/v3/locks", undefined, 200],
  ["POST", "/v3/locks", { appId: 1, reason: "x", ttl: 1 }, 201],
  ["POST", "/v3/locks", { appId: 2, reason: "x", ttl: 1 }, 401],
  ["PUT", "/v3/locks/unknown", { ttl: 1 }, 404],
  ["DELETE", "/v3/locks/unknown", undefined, 404],
  ["GET", "/v3/operations", undefined, 200],
  ["GET", "/v3/operations/unknown", undefined, 404],
  ["DELETE", "/v3/operations/unknown", undefined, 404],
  ["POST", "/v1/regenerate-api-key", undefined, 200],
];

const send = (
  device: TestDevice,
  method: string,
  path: string,
  body: object | undefined,
  headers: Record<string, string>,
) =>
  device.send(method, path, {
    headers: { ...headers, ...(body && { "content-type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });

test("every endpoint is in one of the four lists", () => {
  const pattern = (path: string) =>
    path
      .replace(/\?.*/, "")
      .replace(/\/(1|2)(?=\/|$)/, "/:appId")
      .replace(/services\/\w+/, "services/:service")
      .replace(/exec\/\w+/, "exec/:sessionId")
      .replace("/unknown", "/:id");
  const listed = [...ofTheDevice, ...ofTheShell, ...ofPeople, ...ofTheApplication].map(
    ([method, path]) => `${method} ${pattern(path)}`,
  );
  const all = Object.values(endpoints).map(({ method, path }) => `${method} ${path}`);
  expect([...new Set(listed)].sort()).toEqual(all.sort());
});

describe("with SUPERVISOR_API_SCOPE=application, the key of an application", () => {
  test.each(ofTheDevice)("is refused by %s %s", async (method, path, body, refused) => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: "application" });
    expect(seen(await send(device, method, path, body, await device.keyOf(1, "web")))).toEqual(refused);
    expect([device.power.asked, device.led.blinks, device.hostname.name]).toEqual([[], 0, "device"]);
  });

  test.each(ofTheDevice)("is refused before the body is parsed by %s %s", async (method, path, _, refused) => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: "application" });
    const headers = { ...(await device.keyOf(1, "web")), "content-type": "application/json" };
    const bodiless = method === "GET";
    expect(seen(await device.send(method, path, { headers, ...(!bodiless && { body: "{bad" }) }))).toEqual(refused);
  });

  test.each(ofTheApplication)("%s %s with %j is answered %s", async (method, path, body, ...[status]) => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: "application" });
    expect((await send(device, method, path, body, await device.keyOf(1, "web"))).status).toBe(status);
  });

  test("sees its own application only", async () => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: "application" });
    const key = await device.keyOf(2, "db");
    expect(Object.keys(Object((await device.get("/v2/applications/state", key)).json))).toEqual(["second"]);
    expect((await device.get("/v2/state/status", key)).text).not.toContain("web");
  });

  test.each(["RESIN_SUPERVISOR_API_SCOPE", "BALENA_SUPERVISOR_API_SCOPE"])("is limited by %s too", async (name) => {
    const device = await deviceWith({ [name]: " Application" });
    const answer = await device.post("/v1/reboot", {}, await device.keyOf(1, "web"));
    expect(seen(answer)).toEqual(powerUnauthorized);
  });
});

describe.each(["device", "application"])("with SUPERVISOR_API_SCOPE=%s, the key of an application", (scope) => {
  test.each(ofPeople)("is refused by %s %s", async (method, path, body) => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: scope });
    expect(seen(await send(device, method, path, body, await device.keyOf(1, "web")))).toEqual(onlyPeople);
    expect((await send(device, method, path, body, device.globalKey())).status).toBe(409);
  });

  test.each(ofTheShell)("is refused by %s %s", async (method, path, body) => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: scope });
    expect(seen(await send(device, method, path, body, await device.keyOf(1, "web")))).toEqual(onlyShell);
    expect((await send(device, method, path, body, device.globalKey())).status).not.toBe(401);
  });
});

describe("the cloud's own key", () => {
  test("can use the device's endpoints with either setting", async () => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: "application" });
    expect((await device.post("/v1/blink", undefined, device.globalKey())).status).toBe(200);
    expect((await device.get("/v2/device/tags", device.globalKey())).status).toBe(200);
    expect(seen(await device.get("/v2/device/tags"))).toEqual(unauthorized);
  });
});

test("a changed configuration applies to the next request", async () => {
  const device = await deviceWith({});
  const key = await device.keyOf(1, "web");
  const status = async () => (await device.post("/v1/blink", undefined, key)).status;
  expect(await status()).toBe(200);
  await configure(device, { SUPERVISOR_API_SCOPE: "application" });
  expect(await status()).toBe(401);
  await configure(device, { SUPERVISOR_API_SCOPE: "device" });
  expect(await status()).toBe(200);
});

test("an invalid value is logged and counts as `device`", async () => {
  const device = await managedDevice();
  const { targets } = device.supervisor;
  const uuid = device.supervisor.identity.uuid;
  const set = (scope: string) =>
    targets.setCloud({ [uuid]: { name: "x", apps: {}, config: { RESIN_SUPERVISOR_API_SCOPE: scope } } });
  expect(await set("app")).toMatchObject({
    ok: true,
    warnings: [`${uuid}.config.SUPERVISOR_API_SCOPE: expected device or application, but got "app"; taken as device`],
  });
  expect(await set("application")).toMatchObject({ ok: true, warnings: [] });
  expect(await set("")).toMatchObject({ ok: true, warnings: [] });
});

test("the OpenAPI document has the answers to an application's key", () => {
  const { paths } = toOpenApi(endpoints, { title: "Fairlead", version: "1" });
  for (const [method, path, , refused] of ofTheDevice)
    expect(paths[path]?.[method.toLowerCase()], path).toMatchObject({
      responses: { 401: { content: { [refused.type?.split(";")[0] ?? ""]: {} } } },
    });
  expect(paths["/v1/reboot"]?.["post"]).toMatchObject({
    responses: { 401: { content: { "application/json": { schema: { properties: { Error: {} } } } } } },
  });
});

describe("the proxy's password", () => {
  const path = "/v1/device/host-config";
  const whole: ProxySettings = {
    type: "http-connect",
    ip: "proxy.example",
    port: 8123,
    login: "me",
    password: "correct horse",
  };
  const { password: _, ...rest } = whole;

  test.each(["device", "application"])("is not shown to the key of an application (%s)", async (scope) => {
    const device = await deviceWith({ SUPERVISOR_API_SCOPE: scope });
    device.proxy.settings = whole;
    const answer = await device.get(path, await device.keyOf(1, "web"));
    expect(answer.text).not.toContain("correct horse");
    if (scope === "device")
      expect(answer.json).toEqual({ network: { hostname: "device", proxy: { ...rest, hasPassword: true } } });
    expect((await device.get(path, device.globalKey())).json).toEqual({
      network: { hostname: "device", proxy: whole },
    });
  });

  test("is not shown as hidden if there is none", async () => {
    const device = await deviceWith({});
    device.proxy.settings = rest;
    expect((await device.get(path, await device.keyOf(1, "web"))).json).toEqual({
      network: { hostname: "device", proxy: rest },
    });
  });

  test("is kept if the hidden value is sent back", async () => {
    const device = await deviceWith({});
    device.proxy.settings = whole;
    const key = await device.keyOf(1, "web");
    const { json: read } = await device.get(path, key);
    expect(seen(await device.patch(path, read, key))).toEqual(ok);
    expect(device.proxy.settings).toEqual(whole);
  });

  test.each([{ ip: "evil.example" }, { port: 1 }, { ip: "evil.example", port: 1, login: "you" }])(
    "cannot be redirected to another proxy without permission to see it: %j",
    async (patch) => {
      const device = await deviceWith({});
      device.proxy.settings = whole;
      const key = await device.keyOf(1, "web");
      const answer = await device.patch(path, { network: { proxy: patch } }, key);
      expect(seen(answer)).toEqual(
        text(
          400,
          "Could not parse host config input to a valid format:\nnetwork.proxy.password: expected a value, since the stored one is for another proxy",
        ),
      );
      expect(device.proxy.settings).toEqual(whole);
      const changed = { ...patch, password: "another" };
      expect(seen(await device.patch(path, { network: { proxy: changed } }, key))).toEqual(ok);
      expect(device.proxy.settings).toEqual({ ...whole, ...changed });
    },
  );
});

describe("a principal with read access and without secrets", () => {
  const reader: Scope = { ...everything, secrets: "none" };
  const ask = async (device: TestDevice, path: string, init: RequestInit = {}) => {
    const response = await device.fetch(new Request(`http://device${path}`, init), { scope: reader });
    return response.text();
  };
  const secret = "correct horse";

  test("sees the names of an application's variables", async () => {
    const device = await managedDevice();
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: { environment: { WIFI_PSK: secret } } }) });
    const { env } = JSON.parse(await ask(device, "/v1/apps/1"));
    expect(env).toMatchObject({ WIFI_PSK: "(hidden)", BALENA_APP_ID: "(hidden)" });
    expect(Object.values(env).filter((value) => value !== "(hidden)")).toEqual([]);
  });

  const withSecrets = {
    local: {
      name: "device",
      config: { HOST_CONFIG_secret: secret },
      apps: {
        "1": app(
          {
            one: {
              image: `user:${encodeURIComponent(secret)}@registry.example/one:1`,
              environment: { WIFI_PSK: secret },
              labels: { users: secret },
              command: ["run", secret],
              entrypoint: secret,
              healthcheck: { test: secret },
              volumes: ["share:/share"],
            },
          },
          { volumes: { share: { driver_opts: { type: "cifs", o: `password=${secret}` }, labels: [`a=${secret}`] } } },
        ),
      },
    },
  };

  test("sees the target state without values, and cannot set that state", async () => {
    const device = await testDevice();
    expect((await device.post("/v2/local/target-state", withSecrets)).status).toBe(200);
    const shown = await ask(device, "/v2/local/target-state");
    expect(shown).not.toMatch(/correct/);
    expect(JSON.parse(shown)).toMatchObject({
      state: {
        local: {
          name: "device",
          config: { HOST_CONFIG_secret: "(hidden)", SUPERVISOR_LOCAL_MODE: "(hidden)" },
          apps: {
            "1": {
              name: "fleet",
              services: {
                "1": {
                  serviceName: "one",
                  image: "user:(hidden)@registry.example/one:1",
                  environment: { WIFI_PSK: "(hidden)" },
                  volumes: ["share:/share"],
                },
              },
            },
          },
        },
      },
    });

    const { state } = JSON.parse(shown);
    const answer = await device.post("/v2/local/target-state", state);
    expect(answer.status).toBe(400);
    const no = "expected a value, but got (hidden), which stands for one that was not shown; set it anew";
    expect(String(Object(answer.json)["message"]).split("\n")).toEqual(
      expect.arrayContaining([
        `local.config.HOST_CONFIG_secret: ${no}`,
        `local.apps.1.services.1.environment.WIFI_PSK: ${no}`,
        `local.apps.1.services.1.image: ${no}`,
        `local.apps.1.services.1.command[1]: ${no}`,
      ]),
    );
    const { json: kept } = await device.get("/v2/local/target-state");
    expect(kept).toMatchObject({ state: { local: { apps: withSecrets.local.apps } } });
  });

  test("sees no password of the proxy", async () => {
    const device = await testDevice();
    device.proxy.settings = { type: "socks5", ip: "10.0.0.1", port: 1, password: secret };
    const shown = await ask(device, "/v1/device/host-config");
    expect(JSON.parse(shown)).toMatchObject({ network: { proxy: { hasPassword: true } } });
    expect(shown).not.toContain(secret);
  });

  test("does not get a new key", async () => {
    const device = await managedDevice();
    expect(await ask(device, "/v1/regenerate-api-key", { method: "POST" })).toBe("(hidden)");
  });

  test("sees no secret at any other path", async () => {
    const device = await testDevice();
    await device.post("/v2/local/target-state", withSecrets);
    await device.settled();
    const isEndless = (path: string) => path === "/v2/local/logs" || path === "/v3/stream";
    const paths = Object.values(endpoints).filter(({ method, path }) => method === "GET" && !isEndless(path));
    for (const { path } of paths) expect(await ask(device, path.replace(":appId", "1")), path).not.toMatch(/correct/);
  });

  test("sees no secret in the stream", async () => {
    const device = await testDevice();
    await device.post("/v2/local/target-state", withSecrets);
    await device.settled();
    const principal = { scope: { ...everything, secrets: "none" as const } };
    const { body } = await device.fetch(new Request("http://device/v3/stream?state&events&after=0"), principal);
    const lines = body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes('"kind":"serviceStarted"')) text += (await lines?.read())?.value ?? "";
    await lines?.cancel();
    expect(text).toContain('{"is":"state"');
    expect(text).not.toMatch(/correct/);
  });
});
