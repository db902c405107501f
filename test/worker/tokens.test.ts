import { getSdk } from "balena-sdk";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { createMemoryDevice, type MemoryDevice } from "../../core/embedded/device.ts";
import { everything } from "../../core/model/scope.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { operationOf } from "../../runtimes/worker/relay/operation.ts";
import { startTunnel, type RunningTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { Token } from "../../core/api/admin/index.ts";
import { pollOutcome } from "../../core/cloud/poll.ts";
import { decodeFrame, encodeFrame, noBytes, unbundle, type RequestHead } from "../../core/relay/frame.ts";
import { derivesServiceKeys } from "../../core/api/cloud/state.ts";
import { deriveServiceKey } from "../../core/model/service-key.ts";
import { httpCloud } from "../../runtimes/node/cloud/http-cloud.ts";
import { adminSecret, startCloud, type Answer } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, newUuid, Registered, registration, type TestFleet } from "./people.ts";

/** What each credential may do, and what its revocation ends. */
const cloud = startCloud();

/** Connects a request handler as that device. */
async function dial({ uuid, api_key: key }: Registered, agent: MemoryDevice, fetch = agent.fetch) {
  const tunnel: RunningTunnel = startTunnel({
    ...{ url: cloud.url(), uuid, key, fetch, clock: systemClock, log: agent.log },
  });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  return tunnel;
}

async function newAgent(uuid: string): Promise<MemoryDevice> {
  const agent = await createMemoryDevice({ identity: { uuid } });
  onTestFinished(() => agent.stop());
  return agent;
}

/** A connected device of the fleet. */
async function newAgentOf(fleet: TestFleet) {
  const device = await newDevice(cloud, fleet);
  const agent = await newAgent(device.uuid);
  const tunnel = await dial(device, agent);
  return { ...device, agent, tunnel };
}

const relay = (path: string, body: object, key: string) => cloud.ask("POST", `/supervisor${path}`, body, key);

describe("GET /v2/cleanup-volumes is not a read,", () => {
  test("so it is refused to a read-only token, with any spelling of path and method", async () => {
    const fleet = await newFleet(cloud, "cleaning");
    const { uuid } = await newAgentOf(fleet);
    const { token } = await newToken(cloud, { fleets: [fleet.id] });
    const statuses = async (method: string, path: string) => (await relay(path, { uuid, method }, token)).status;
    for (const method of ["GET", "HEAD"]) {
      for (const path of ["/v2/cleanup-volumes", "/V2/Cleanup-Volumes/", "/v2/x/../cleanup-volumes?a=1"])
        expect([method, path, await statuses(method, path)]).toEqual([method, path, 403]);
      for (const path of ["/v2/version", "/v2/version/"])
        expect([method, path, await statuses(method, path)]).toEqual([method, path, 200]);
    }
    // The device does not know these paths.
    for (const path of ["//v2/cleanup-volumes", "/v2/cleanup-volumes//", "/v2/cleanup%2dvolumes"])
      expect([path, await statuses("GET", path)]).toEqual([path, 404]);
    const { token: writer } = await newToken(cloud, { fleets: [fleet.id], write: true });
    expect((await relay("/v2/cleanup-volumes", { uuid, method: "GET" }, writer)).status).toBe(200);
  });

  test("so it may have acted if no answer came", async () => {
    const device = await newDevice(cloud, await newFleet(cloud, "cleaning that hangs"));
    const silent: Fetch = () => new Promise(() => {});
    await dial(device, await newAgent(device.uuid), silent);
    const late = async (path: string) => {
      const response = await fetch(`${cloud.url()}/supervisor${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${adminSecret}`, prefer: "wait=1" },
        body: JSON.stringify({ uuid: device.uuid, method: "GET" }),
      });
      return [response.status, await response.json()];
    };
    expect(await late("/v2/cleanup-volumes")).toEqual([504, expect.objectContaining({ mayHaveActed: true })]);
    expect(await late("/v2/version")).toEqual([504, expect.objectContaining({ mayHaveActed: false })]);
  });

  test("and the Worker recognizes it for every path for which the device does", async () => {
    const agent = await newAgent("0".repeat(32));
    const piece = fc.constantFrom(
      "/",
      "v2",
      "V2",
      "cleanup-volumes",
      "CLEANUP-volumes",
      "%2d",
      "..",
      "?x=/",
      "%2e",
      ";",
    );
    const written = fc.array(piece, { maxLength: 6 }).map((pieces) => `/${pieces.join("")}`);
    const likely = fc.constantFrom(
      "/v2/cleanup-volumes",
      "/V2/CLEANUP-VOLUMES/",
      "/v2/cleanup-volumes?x=1",
      "/x/../v2/cleanup-volumes",
    );
    await fc.assert(
      fc.asyncProperty(fc.oneof(likely, written), fc.constantFrom("GET", "HEAD"), async (path, method) => {
        const request = new Request(`http://device${path}`, { method });
        const acts = (await agent.fetch(request, { scope: everything })).status === 200;
        const { name, reads } = operationOf({ method, path });
        expect([name === "cleanupVolumes", !reads]).toEqual([acts, acts]);
      }),
      { numRuns: 300 },
    );
  });
});

const Made = z.looseObject({
  id: z.union([z.int(), z.string()]),
  key: z.string().optional(),
  token: z.string().optional(),
});

describe("the creation of keys and tokens", () => {
  /** Creates a provisioning key, a device key and a token of the fleet with that token. */
  const makings = (
    fleet: TestFleet,
    { uuid }: Registered,
  ): Record<string, (key: string, more?: object) => Promise<Answer>> => ({
    "a provisioning key": (key, more = {}) =>
      cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/provisioning-keys`, more, key),
    "a device key": (key) => cloud.ask("POST", `/admin/v1/devices/${uuid}/key`, {}, key),
    "a token": (key, more = {}) =>
      cloud.ask("POST", "/admin/v1/tokens", { name: "made", fleets: [fleet.id], ...more }, key),
  });

  test("needs the permission to manage", async () => {
    const fleet = await newFleet(cloud, "makings");
    const device = await newDevice(cloud, fleet);
    const given = { fleets: [fleet.id], write: true, secrets: true };
    const [writer, manager] = [
      await newToken(cloud, given),
      await newToken(cloud, { fleets: [fleet.id], manage: true }),
    ];
    for (const [what, make] of Object.entries(makings(fleet, device))) {
      const refused = await make(writer.token);
      expect([what, refused.status, refused.json]).toEqual([
        what,
        403,
        expect.objectContaining({ detail: "This token may not manage keys and tokens" }),
      ]);
      expect([what, (await make(manager.token)).status]).toEqual([what, what === "a device key" ? 200 : 201]);
    }
    const keysOf = `/admin/v1/fleets/${fleet.id}/provisioning-keys`;
    const [key] = await cloud.get(z.array(Made.partial()), keysOf);
    const end = async (token: string) => (await cloud.ask("DELETE", `${keysOf}/${key?.id}`, undefined, token)).status;
    expect([await end(writer.token), await end(manager.token)]).toEqual([403, 204]);
    // The permission to manage does not include other changes.
    expect((await cloud.ask("PATCH", `/admin/v1/devices/${device.uuid}`, { name: "x" }, manager.token)).status).toBe(
      403,
    );
  });

  test.each([
    ["other fleets", { fleets: [9999] }, /is for certain fleets: \d+/],
    ["all fleets", { fleets: "all" }, /is for certain fleets: \d+/],
    ["write", { write: true }, /may not write/],
    ["secrets", { secrets: true }, /may not read secrets/],
    ["a longer life", { lifetimeDays: 2 }, /can last no longer than itself, until 20/],
  ])("cannot give more than its creator has: not %s", async (_, more, message) => {
    const fleet = await newFleet(cloud, `giving ${newUuid()}`);
    const maker = await newToken(cloud, { fleets: [fleet.id], manage: true, lifetimeDays: 1 });
    const answer = await cloud.ask(
      "POST",
      "/admin/v1/tokens",
      { name: "made", fleets: [fleet.id], ...more },
      maker.token,
    );
    expect([answer.status, answer.json]).toEqual([
      403,
      expect.objectContaining({ detail: expect.stringMatching(message) }),
    ]);
  });

  test("cannot give more than the creator has, and the result expires with the creator's token at the latest", async () => {
    const fleet = await newFleet(cloud, "short lives");
    const device = await newDevice(cloud, fleet);
    const maker = await newToken(cloud, { fleets: [fleet.id], manage: true, lifetimeDays: 1 });
    const Expiring = z.object({ expiresAt: z.string() });
    for (const what of ["a token", "a provisioning key"]) {
      const make = makings(fleet, device)[what];
      const ends = async (more?: object) =>
        Date.parse(Expiring.parse((await make?.(maker.token, more))?.json).expiresAt);
      expect(await ends()).toBe(Date.parse(maker.expiresAt ?? ""));
      expect(await ends({ lifetimeDays: 0.5 })).toBeLessThan(Date.parse(maker.expiresAt ?? ""));
      expect([what, (await make?.(maker.token, { lifetimeDays: 2 }))?.status]).toEqual([what, 403]);
    }
  });

  test("lets a token list and revoke only itself and the tokens that it has created", async () => {
    const fleet = await newFleet(cloud, "lineages");
    const given = { fleets: [fleet.id], manage: true };
    const [one, other] = [await newToken(cloud, given), await newToken(cloud, given)];
    const child = Made.parse(
      (await cloud.ask("POST", "/admin/v1/tokens", { name: "child", ...given }, one.token)).json,
    );
    const listed = async (key: string) => {
      const { json } = await cloud.ask("GET", "/admin/v1/tokens", undefined, key);
      return z
        .array(Token)
        .parse(json)
        .map(({ id, madeBy }) => [id, madeBy]);
    };
    expect((await listed(one.token)).toSorted()).toEqual(
      [
        [child.id, one.id],
        [one.id, null],
      ].toSorted(),
    );
    expect(await listed(child.token ?? "")).toEqual([[child.id, one.id]]);
    const end = async (id: unknown, key: string) =>
      (await cloud.ask("DELETE", `/admin/v1/tokens/${id}`, undefined, key)).status;
    expect([
      await end(one.id, child.token ?? ""),
      await end(other.id, one.token),
      await end("none", one.token),
    ]).toEqual([404, 404, 404]);
    expect([await end(child.id, one.token), await end(one.id, one.token)]).toEqual([200, 200]);
    expect(await end(other.id, one.token)).toBe(401);
  });
});

describe("the revocation of a token ends", () => {
  test("the tokens that it has created, and their descendants, everywhere", async () => {
    const fleet = await newFleet(cloud, "recursion");
    const { uuid } = await newAgentOf(fleet);
    const given = { fleets: [fleet.id], write: true, manage: true };
    const root = await newToken(cloud, given);
    const keys = [root.token];
    for (let n = 0; n < 2; n++)
      keys.push(
        Made.parse((await cloud.ask("POST", "/admin/v1/tokens", { name: "made", ...given }, keys.at(-1))).json).token ??
          "",
      );
    const works = async (key: string) => [
      (await cloud.ask("GET", "/admin/v1/whoami", undefined, key)).status,
      (await relay("/v1/blink", { uuid }, key)).status,
      (await cloud.ask("GET", `/device/v2/${uuid}/logs`, undefined, key)).status,
    ];
    for (const key of keys) expect(await works(key)).toEqual([200, 200, 200]);
    const { status, json } = await cloud.ask("DELETE", `/admin/v1/tokens/${root.id}`);
    expect([status, json]).toEqual([200, { tokens: 2, provisioningKeys: 0, deviceKeys: 0, apiKeys: 0, joined: 0 }]);
    for (const key of keys) expect(await works(key)).toEqual([401, 404, 404]);
  });

  test("its provisioning keys and the device keys that it created, but not those of others", async () => {
    const fleet = await newFleet(cloud, "doors");
    const device = await newAgentOf(fleet);
    const [replaced, again] = [await newDevice(cloud, fleet), await newDevice(cloud, fleet)];
    const given = { fleets: [fleet.id], manage: true };
    const root = await newToken(cloud, given);
    const child = Made.parse(
      (await cloud.ask("POST", "/admin/v1/tokens", { name: "made", ...given }, root.token)).json,
    );
    const make = async (path: string, key: string | undefined) =>
      Made.partial().parse((await cloud.ask("POST", path, {}, key)).json).key ?? "";
    const keysOf = `/admin/v1/fleets/${fleet.id}/provisioning-keys`;
    const provisioning = [await make(keysOf, root.token), await make(keysOf, child.token)];
    const joined = Registered.parse(
      (await cloud.ask("POST", "/device/register", registration(fleet), provisioning[1])).json,
    );
    const keyOf = ({ uuid }: Registered) => `/admin/v1/devices/${uuid}/key`;
    const theirs = [await make(keyOf(replaced), child.token), await make(keyOf(again), child.token)];
    const ours = await make(keyOf(again), undefined);
    const stolen = await dial({ ...replaced, api_key: theirs[0] ?? "" }, device.agent);

    const { json } = await cloud.ask("DELETE", `/admin/v1/tokens/${root.id}`);
    expect(json).toEqual({ tokens: 1, provisioningKeys: 2, deviceKeys: 1, apiKeys: 0, joined: 1 });
    for (const key of provisioning)
      expect((await cloud.ask("POST", "/device/register", registration(fleet), key)).status).toBe(401);
    const polls = async ({ uuid }: { uuid: string }, key: string) =>
      (await cloud.ask("GET", `/device/v3/${uuid}/state`, undefined, key)).status;
    expect(await polls(replaced, theirs[0] ?? "")).toBe(401);
    await expect.poll(() => stolen.state().is).toBe("disconnected");
    expect([
      await polls(again, ours),
      await polls(joined, joined.api_key),
      await polls(device, device.api_key),
    ]).toEqual([200, 200, 200]);
    expect((await cloud.ask("POST", "/device/register", registration(fleet), fleet.key)).status).toBe(201);
  });

  test("a request whose body arrives after the revocation", async () => {
    const fleet = await newFleet(cloud, "slow bodies");
    const given = { fleets: [fleet.id], write: true, manage: true };
    const bodies = {
      "/admin/v1/tokens": { name: "late", ...given },
      [`/admin/v1/fleets/${fleet.id}/provisioning-keys`]: { name: "late" },
      "/v7/application_config_variable": { application: fleet.id, name: "RESIN_LATE", value: "1" },
    };
    for (const [path, body] of Object.entries(bodies)) {
      const maker = await newToken(cloud, given);
      const { readable, writable } = new TransformStream<string, string>();
      const writer = writable.getWriter();
      const answer = fetch(cloud.url() + path, {
        method: "POST",
        headers: { authorization: `Bearer ${maker.token}`, "content-type": "application/json" },
        body: readable.pipeThrough(new TextEncoderStream()),
        ...{ duplex: "half" },
      });
      const [first, rest] = [JSON.stringify(body).slice(0, 5), JSON.stringify(body).slice(5)];
      await writer.write(first);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect((await cloud.ask("DELETE", `/admin/v1/tokens/${maker.id}`)).status).toBe(200);
      await writer.write(rest);
      await writer.close();
      expect([path, (await answer).status]).toEqual([path, 401]);
    }
  });
});

describe("the values of variables", () => {
  /** A fleet with a secret in every possible place, a device of it, and tokens for it. */
  async function withSecrets() {
    const fleet = await newFleet(cloud, `secrets ${newUuid()}`);
    const device = await newDevice(cloud, fleet);
    await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, {
      composition: { services: { web: { image: "web:1", environment: { A: "secret of the file" } } } },
      commit: "one",
    });
    const set = (of: string, variables: object) => cloud.ask("POST", `/admin/v1/${of}/variables`, { variables });
    await set(`fleets/${fleet.id}`, { B: "secret of the fleet", RESIN_FLEET: "secret of the fleet's" });
    await set(`devices/${device.uuid}`, { C: "secret of the device", RESIN_DEVICE: "secret of the device's" });
    const given = { fleets: [fleet.id], write: true };
    const [reader, knower] = [await newToken(cloud, given), await newToken(cloud, { ...given, secrets: true })];
    return { fleet, device, reader: reader.token, knower: knower.token };
  }

  const states = (fleet: TestFleet, { uuid }: Registered) => [
    `/device/v3/${uuid}/state`,
    `/device/v2/${uuid}/state`,
    `/device/v3/fleet/${fleet.uuid}/state`,
  ];

  test("are in target states for the device, the owner and tokens with secrets, and others get only the names", async () => {
    const { fleet, device, reader, knower } = await withSecrets();
    for (const path of states(fleet, device)) {
      const whole = await cloud.ask("GET", path);
      expect([path, whole.text.match(/secret of/g)?.length]).toEqual([path, path.includes("fleet") ? 3 : 5]);
      for (const key of [knower, device.api_key])
        expect([path, (await cloud.ask("GET", path, undefined, key)).text]).toEqual([path, whole.text]);
      const shown = await cloud.ask("GET", path, undefined, reader);
      expect([path, shown.status, /secret of/.test(shown.text)]).toEqual([path, 200, false]);
      for (const name of whole.text.match(/"(A|B|C|RESIN_\w+)"/g) ?? [])
        expect(shown.text).toContain(`${name}:"(hidden)"`);
      expect([whole.headers.has("fairlead-hidden-values"), shown.headers.has("fairlead-hidden-values")]).toEqual([
        false,
        true,
      ]);
    }
  });

  test("have another entity tag than hidden ones", async () => {
    const { fleet, device, reader } = await withSecrets();
    for (const path of states(fleet, device)) {
      const tagOf = async (key: string) => (await cloud.ask("GET", path, undefined, key)).headers.get("etag") ?? "";
      const [whole, shown] = [await tagOf(device.api_key), await tagOf(reader)];
      const known = async (tag: string, key: string) => {
        const headers = { authorization: `Bearer ${key}`, "if-none-match": tag, "cache-control": "max-age=0" };
        return (await fetch(cloud.url() + path, { headers })).status;
      };
      expect([await known(whole, device.api_key), await known(shown, reader)]).toEqual([304, 304]);
      expect([await known(shown, device.api_key), await known(whole, reader)]).toEqual([200, 200]);
    }
  });

  test("are hidden from the unmodified SDK, which gets the names", async () => {
    const { fleet, device, reader, knower } = await withSecrets();
    const sdk = getSdk({ apiUrl: cloud.url(), dataDirectory: false });
    const environments = async () => [
      await sdk.models.device.getSupervisorTargetState(device.uuid),
      await sdk.models.device.getSupervisorTargetState(device.uuid, 3),
      await sdk.models.device.getSupervisorTargetStateForApp(fleet.id),
    ];
    await sdk.auth.loginWithToken(reader);
    const shown = JSON.stringify(await environments());
    expect([shown.match(/"B":"\(hidden\)"/g)?.length, /secret of/.test(shown)]).toEqual([3, false]);
    await sdk.auth.loginWithToken(knower);
    expect(JSON.stringify(await environments()).match(/"B":"secret of the fleet"/g)?.length).toBe(3);
  });

  test("are not applied by an agent if they are hidden because of a wrong key", async () => {
    const { device, reader } = await withSecrets();
    const ask = httpCloud(cloud.url(), "Supervisor/19.0.5 (Linux; Memory 1; prod)");
    const path = `/device/v3/${device.uuid}/state`;
    const judge = async (key: string) =>
      pollOutcome(await ask({ method: "GET", path, key, timeoutMs: 5000 }, new AbortController().signal)).is;
    expect([await judge(device.api_key), await judge(reader)]).toEqual(["target", "failed"]);
  });

  test("of the configuration are in the public API for the same principals, and others cannot filter or guess them", async () => {
    const { fleet, device, reader, knower } = await withSecrets();
    const resources = {
      device_config_variable: [`device eq ${device.id}`, "secret of the device's"],
      application_config_variable: [`application eq ${fleet.id}`, "secret of the fleet's"],
    } as const;
    for (const [resource, [filter, value]] of Object.entries(resources)) {
      const values = async (key: string, more = "") => {
        const { json } = await cloud.ask(
          "GET",
          `/v7/${resource}?$select=value&$filter=${filter}${more}`,
          undefined,
          key,
        );
        return z
          .object({ d: z.array(z.object({ value: z.string() })) })
          .parse(json)
          .d.map((row) => row.value);
      };
      for (const key of [adminSecret, knower, device.api_key]) expect(await values(key)).toEqual([value]);
      expect(await values(reader)).toEqual(["(hidden)"]);
      for (const guess of [" and startswith(value,'secret')", ` and value eq '${value.replace("'", "''")}'`])
        expect([await values(knower, guess), await values(reader, guess)]).toEqual([[value], []]);
      const by = `/v7/${resource}(value='${value.replace("'", "''")}')`;
      const counted = await cloud.ask(
        "GET",
        `/v7/${resource}/$count?$filter=startswith(value,'secret')`,
        undefined,
        reader,
      );
      expect([counted.json, (await cloud.ask("GET", by, undefined, reader)).json]).toEqual([{ d: 0 }, { d: [] }]);
      // A change with a filter on the value does not reveal it either.
      await cloud.ask("DELETE", `/v7/${resource}?$filter=startswith(value,'secret')`, undefined, reader);
      expect(await values(knower)).toEqual([value]);
    }
    const expanded = "/v7/device?$expand=device_config_variable($filter=value ne '(hidden)')";
    expect((await cloud.ask("GET", expanded, undefined, reader)).text).not.toMatch(/RESIN_DEVICE|secret of/);
    const config = { device: device.id, name: "RESIN_NEW", value: "secret of the writer" };
    const made = await cloud.ask("POST", "/v7/device_config_variable", config, reader);
    expect([made.status, made.json]).toEqual([201, expect.objectContaining({ value: "(hidden)" })]);
  });

  test("are hidden by the device from relayed requests without permission to read them", async () => {
    const { fleet, device, reader, knower } = await withSecrets();
    const heads = await listen(device);
    const hides = async (key: string, target: object) => {
      heads.length = 0;
      expect((await relay("/v1/device", { ...target, method: "GET" }, key)).status).toBe(200);
      // The directory's alarm asks the device for an update meanwhile, since its variables have changed.
      return heads.filter(({ path }) => path === "/v1/device").map(({ hideSecrets }) => hideSecrets);
    };
    for (const target of [{ uuid: device.uuid }, { deviceId: device.id }, { appId: fleet.id }]) {
      expect(await hides(reader, target)).toEqual([true]);
      for (const key of [knower, adminSecret]) expect(await hides(key, target)).toEqual([undefined]);
    }
    expect(await hides(device.api_key, { uuid: device.uuid })).toEqual([undefined]);
    // A second device, so that the request goes to several.
    await listen(await newDevice(cloud, fleet));
    expect((await relay("/v1/device", { appId: fleet.id, method: "GET" }, reader)).status).toBe(207);
    expect(heads.findLast(({ path }) => path === "/v1/device")?.hideSecrets).toBe(true);
  });
});

describe("the key of a device's services, derived from the device's key,", () => {
  async function withService(name: string) {
    const fleet = await newFleet(cloud, name);
    const [device, other] = [await newAgentOf(fleet), await newDevice(cloud, fleet)];
    const key = await deriveServiceKey(device.api_key);
    const ask = (method: string, path: string, body?: unknown) => cloud.ask(method, path, body, key);
    return { fleet, device, other, key, ask };
  }

  test("reads its device and its fleet, without the values of variables", async () => {
    const { fleet, device, other, ask } = await withService("service reads");
    await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, {
      composition: { services: { web: { image: "web:1" } } },
    });
    const variables = { A: "a secret", RESIN_A: "a secret" };
    for (const of of [`fleets/${fleet.id}`, `devices/${device.uuid}`])
      await cloud.ask("POST", `/admin/v1/${of}/variables`, { variables });
    expect((await ask("GET", "/actor/v1/whoami")).json).toMatchObject({ actorType: "device", uuid: device.uuid });
    for (const path of [
      `/device/v3/${device.uuid}/state`,
      `/device/v2/${device.uuid}/state`,
      `/device/v3/fleet/${fleet.uuid}/state`,
      "/v7/device_config_variable",
      "/v7/application_config_variable",
    ]) {
      const { status, text } = await ask("GET", path);
      expect([path, status, text.includes("(hidden)"), text.includes("a secret")]).toEqual([path, 200, true, false]);
    }
    expect((await ask("GET", `/device/v3/${device.uuid}/state`)).headers.has("fairlead-hidden-values")).toBe(true);
    expect((await ask("GET", "/v7/device?$select=uuid")).json).toEqual({ d: [{ uuid: device.uuid }] });
    expect((await ask("GET", `/device/v3/${other.uuid}/state`)).status).toBe(401);
  });

  test("can report for its device, tag and name it, and set its services' variables", async () => {
    const { device, ask } = await withService("service writes");
    const { id, uuid } = device;
    const writes: readonly (readonly [method: string, path: string, body: object | undefined, status: number])[] = [
      ["PATCH", "/device/v3/state", { [uuid]: { status: "Idle" } }, 200],
      ["PATCH", "/device/v3/tags", { [uuid]: { place: "lab" } }, 200],
      ["POST", "/v7/device_tag", { device: id, tag_key: "floor", value: "1" }, 201],
      ["PATCH", `/v7/device_tag(device=${id},tag_key='floor')`, { value: "2" }, 200],
      ["DELETE", `/v7/device_tag(device=${id},tag_key='place')`, undefined, 200],
      ["POST", "/v7/device_environment_variable", { device: id, name: "A", value: "1" }, 201],
      ["PATCH", "/v7/device_environment_variable?$filter=name eq 'A'", { value: "2" }, 200],
      ["DELETE", "/v7/device_environment_variable?$filter=name eq 'A'", undefined, 200],
      ["PATCH", `/v7/device(${id})`, { device_name: "roof", note: "by a service" }, 200],
    ];
    for (const [method, path, body, status] of writes)
      expect([method, path, (await ask(method, path, body)).status]).toEqual([method, path, status]);
    const { json } = await cloud.ask(
      "GET",
      `/v7/device(${id})?$select=device_name,note,status&$expand=device_tag($select=tag_key,value)`,
    );
    const device_tag = [{ tag_key: "floor", value: "2" }];
    expect(json).toEqual({ d: [{ device_name: "roof", note: "by a service", status: "Idle", device_tag }] });
  });

  test("cannot configure, pin, move or delete its device, or write to the fleet or another device", async () => {
    const { fleet, device, other, ask } = await withService("service may not");
    const { id, uuid } = device;
    await cloud.ask("POST", "/v7/device_config_variable", { device: id, name: "RESIN_A", value: "1" });
    await cloud.ask("POST", `/admin/v1/fleets/${fleet.id}/releases`, { composition: { services: {} }, commit: "one" });
    const config = { device: id, name: "RESIN_SUPERVISOR_LOCAL_MODE", value: "1" };
    const writes: readonly (readonly [method: string, path: string, body: object | undefined, status: number])[] = [
      ["POST", "/v7/device_config_variable", config, 403],
      ["PATCH", "/v7/device_config_variable?$filter=name eq 'RESIN_A'", { value: "2" }, 403],
      ["DELETE", "/v7/device_config_variable?$filter=name eq 'RESIN_A'", undefined, 403],
      ["PATCH", `/v7/device(${id})`, { is_pinned_on__release: 1 }, 403],
      ["PATCH", `/v7/device(${id})`, { is_pinned_on__release: null, note: "x" }, 403],
      ["POST", "/v7/application_environment_variable", { application: fleet.id, name: "A", value: "1" }, 404],
      ["POST", "/v7/device_tag", { device: other.id, tag_key: "a", value: "1" }, 404],
      ["PATCH", "/device/v3/state", { [other.uuid]: { status: "Idle" } }, 401],
      ["PATCH", `/admin/v1/devices/${uuid}`, { fleetId: fleet.id }, 401],
      ["POST", `/admin/v1/devices/${uuid}/key`, {}, 401],
      ["DELETE", `/admin/v1/devices/${uuid}`, undefined, 401],
      ["POST", "/device/register", registration(fleet), 401],
    ];
    for (const [method, path, body, status] of writes)
      expect([method, path, (await ask(method, path, body)).status]).toEqual([method, path, status]);
    // The device's own key may still do this.
    const own = (method: string, path: string, body: object) => cloud.ask(method, path, body, device.api_key);
    expect((await own("POST", "/v7/device_config_variable", config)).status).toBe(201);
    expect((await own("PATCH", `/v7/device(${id})`, { is_pinned_on__release: null })).status).toBe(200);
  });

  test("gives no access to the relay, the tunnel or the log of its device", async () => {
    const { device, key, ask } = await withService("service and the socket");
    const { uuid } = device;
    const apiKey = device.agent.supervisor.keys.global();
    for (const [path, method] of [
      ["/ping", "GET"],
      ["/v1/blink", "POST"],
      ["/v1/regenerate-api-key", "POST"],
    ] as const) {
      const answer = await relay(path, { uuid, method }, key);
      expect([path, answer.status, answer.text]).toEqual([path, 401, '"Unauthorized"']);
    }
    expect(device.agent.supervisor.keys.global()).toBe(apiKey);
    expect((await ask("GET", `/device/v2/${uuid}/logs`)).status).toBe(401);
    expect((await ask("POST", `/device/v2/${uuid}/logs`, [{ message: "forged", timestamp: 1 }])).status).toBe(401);
    const tunnel = startTunnel({
      url: cloud.url(),
      uuid,
      key,
      fetch: device.agent.fetch,
      clock: systemClock,
      log: device.agent.log,
    });
    onTestFinished(() => tunnel.stop());
    await expect.poll(() => device.agent.log.lines.join()).toMatch(/it does not know this device's key/);
    expect([tunnel.state().is, device.tunnel.state().is]).toEqual(["disconnected", "connected"]);
  });

  test("is announced in answers to the device only, 304 included", async () => {
    const { device, key } = await withService("service header");
    const path = `/device/v3/${device.uuid}/state`;
    const told = async (bearer: string, tag = '""') => {
      const headers = { authorization: `Bearer ${bearer}`, "if-none-match": tag, "cache-control": "max-age=0" };
      const answer = await fetch(cloud.url() + path, { headers });
      return [answer.status, answer.headers.get(derivesServiceKeys), answer.headers.get("etag") ?? ""] as const;
    };
    const [status, header, tag] = await told(device.api_key);
    expect([status, header]).toEqual([200, "1"]);
    expect((await told(device.api_key, tag)).slice(0, 2)).toEqual([304, "1"]);
    for (const other of [key, adminSecret]) expect((await told(other)).slice(0, 2)).toEqual([200, null]);
  });

  test("of an older device is known after the device's first request, and ends with the device's key", async () => {
    const { device, key, ask } = await withService("service of before");
    const { api_key: own, uuid } = device;
    const directory = await cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });
    await directory.exec("UPDATE devices SET service_key_digest = NULL WHERE uuid = ?", uuid);
    const whoami = async () => (await ask("GET", "/actor/v1/whoami")).status;
    expect(await whoami()).toBe(401);
    await cloud.ask("GET", `/device/v3/${uuid}/state`, undefined, own);
    expect(await whoami()).toBe(200);
    const { json } = await cloud.ask("POST", `/admin/v1/devices/${uuid}/key`, {});
    expect(await whoami()).toBe(401);
    const renewed = await deriveServiceKey(z.object({ key: z.string() }).parse(json).key);
    expect((await cloud.ask("GET", "/actor/v1/whoami", undefined, renewed)).status).toBe(200);
    // The services' key of one device cannot register another one.
    const fleet = await newFleet(cloud, "impostors");
    const taken = await cloud.ask("POST", "/device/register", registration(fleet, { api_key: renewed }), fleet.key);
    expect([taken.status, taken.text]).toEqual([409, JSON.stringify('"key" must be unique.')]);
    expect(key).not.toBe(renewed);
  });
});

describe("the key of a device's API from POST /v1/regenerate-api-key", () => {
  const path = "/v1/regenerate-api-key";
  const told = async (target: object, key: string) => {
    const { status, text } = await relay(path, target, key);
    expect([status, text]).toEqual([200, expect.stringMatching(/^[0-9a-f]{64}$/)]);
    return text;
  };
  const revoke = async (id: string) => {
    const { status, json } = await cloud.ask("DELETE", `/admin/v1/tokens/${id}`);
    expect(status).toBe(200);
    return z.looseObject({ apiKeys: z.int() }).parse(json).apiKeys;
  };
  const recorded = async ({ id }: Registered) => {
    const directory = await cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });
    return z.array(z.unknown()).parse(await directory.exec("SELECT * FROM api_keys WHERE device_id = ?", id)).length;
  };
  const globalKey = ({ agent }: { agent: MemoryDevice }) => agent.supervisor.keys.global();
  const newManager = (fleet: TestFleet, more: object = {}) =>
    newToken(cloud, { fleets: [fleet.id], manage: true, ...more });

  test("is readable with the permission to manage, for any spelling of the path, and by the device itself", async () => {
    const fleet = await newFleet(cloud, "api keys");
    const device = await newAgentOf(fleet);
    const { uuid } = device;
    const { token: writer } = await newToken(cloud, { fleets: [fleet.id], write: true, secrets: true });
    const before = globalKey(device);
    for (const written of [path, "/V1/Regenerate-API-Key/", `${path}?a=1`])
      for (const target of [{ uuid }, { appId: fleet.id }])
        expect([written, (await relay(written, target, writer)).status]).toEqual([written, 403]);
    expect(globalKey(device)).toBe(before);
    for (const key of [(await newManager(fleet)).token, adminSecret, device.api_key])
      expect(await told({ uuid }, key)).toBe(globalKey(device));
  });

  test("is replaced when the token that received it is revoked, at once if the device is connected", async () => {
    const fleet = await newFleet(cloud, "api keys that end");
    const device = await newAgentOf(fleet);
    const manager = await newManager(fleet);
    const key = await told({ appId: fleet.id }, manager.token);
    expect([globalKey(device), await recorded(device)]).toEqual([key, 1]);
    expect(await revoke(manager.id)).toBe(1);
    await expect.poll(() => globalKey(device)).not.toBe(key);
    await expect.poll(() => recorded(device)).toBe(0);
  });

  test("is replaced when an ancestor of the token that received it is revoked", async () => {
    const fleet = await newFleet(cloud, "api keys of children");
    const device = await newAgentOf(fleet);
    const manager = await newManager(fleet);
    const given = { name: "child", fleets: [fleet.id], manage: true };
    const child = Made.parse((await cloud.ask("POST", "/admin/v1/tokens", given, manager.token)).json);
    const key = await told({ uuid: device.uuid }, child.token ?? "");
    expect(await revoke(manager.id)).toBe(1);
    await expect.poll(() => globalKey(device)).not.toBe(key);
  });

  test("is replaced once when an offline device connects, also after its session was evicted", async () => {
    const fleet = await newFleet(cloud, "api keys of the absent");
    const device = await newAgentOf(fleet);
    const manager = await newManager(fleet);
    const key = await told({ uuid: device.uuid }, manager.token);
    device.tunnel.stop();
    expect(await revoke(manager.id)).toBe(1);
    await cloud.worker.getWorker().evictDurableObject("DeviceSession", { name: device.uuid, webSockets: "close" });
    expect(globalKey(device)).toBe(key);
    const second = await dial(device, device.agent);
    await expect.poll(() => globalKey(device)).not.toBe(key);
    await expect.poll(() => recorded(device)).toBe(0);
    second.stop();
    const after = globalKey(device);
    await cloud.worker.getWorker().evictDurableObject("DeviceSession", { name: device.uuid, webSockets: "close" });
    await dial(device, device.agent);
    // The session sends its other requests to a connecting device before this one.
    expect((await relay("/ping", { uuid: device.uuid, method: "GET" }, adminSecret)).text).toBe("OK");
    expect(globalKey(device)).toBe(after);
  });

  test("is replaced after a failure, and after an eviction", async () => {
    const device = await newDevice(cloud, await newFleet(cloud, "api keys with failures"));
    const agent = await newAgent(device.uuid);
    const manager = await newToken(cloud, { manage: true });
    let fails = false;
    const flaky: Fetch = (request, caller) =>
      fails ? Promise.resolve(new Response("", { status: 503 })) : agent.fetch(request, caller);
    const first = await dial(device, agent, flaky);
    const key = await told({ uuid: device.uuid }, manager.token);
    fails = true;
    // No newer key is known, so the first one still belongs to that token.
    expect((await relay(path, { uuid: device.uuid }, adminSecret)).status).toBe(503);
    expect(await revoke(manager.id)).toBe(1);
    await expect.poll(() => recorded(device)).toBe(2);
    expect(globalKey({ agent })).toBe(key);
    first.stop();
    fails = false;
    await dial(device, agent, flaky);
    await expect.poll(() => globalKey({ agent })).not.toBe(key);
    await expect.poll(() => recorded(device)).toBe(0);
  });

  test("is not replaced again when another token has received a newer one", async () => {
    const fleet = await newFleet(cloud, "newer api keys");
    const device = await newAgentOf(fleet);
    const [earlier, later] = [await newManager(fleet), await newManager(fleet)];
    await told({ uuid: device.uuid }, earlier.token);
    const key = await told({ uuid: device.uuid }, later.token);
    expect(await revoke(earlier.id)).toBe(0);
    expect(globalKey(device)).toBe(key);
    expect(await revoke(later.id)).toBe(1);
    await expect.poll(() => globalKey(device)).not.toBe(key);
  });

  test("is replaced when the token that received it expires", async () => {
    const fleet = await newFleet(cloud, "api keys that expire");
    const device = await newAgentOf(fleet);
    const key = await told({ uuid: device.uuid }, (await newManager(fleet, { lifetimeDays: 2 / 86_400 })).token);
    expect(globalKey(device)).toBe(key);
    await expect.poll(() => globalKey(device), { timeout: 15_000 }).not.toBe(key);
  });

  test("is replaced with the device's own key if that key received it", async () => {
    const device = await newAgentOf(await newFleet(cloud, "api keys of devices"));
    const key = await told({ uuid: device.uuid }, device.api_key);
    const { json } = await cloud.ask("POST", `/admin/v1/devices/${device.uuid}/key`, {});
    expect(globalKey(device)).toBe(key);
    await dial({ ...device, api_key: z.object({ key: z.string() }).parse(json).key }, device.agent);
    await expect.poll(() => globalKey(device)).not.toBe(key);
  });
});

test("a device hides the values of variables from relayed requests without permission to read them", async () => {
  const fleet = await newFleet(cloud, "hiding agents");
  const { uuid } = await newAgentOf(fleet);
  const services = {
    "1": { serviceName: "web", imageId: 1, image: "web:1", environment: { A: "a secret" }, labels: {} },
  };
  const apps = { "1": { name: "app", commit: "one", releaseId: 1, services } };
  const data = { local: { name: "local", config: {}, apps } };
  expect((await relay("/v2/local/target-state", { uuid, data }, adminSecret)).status).toBe(200);
  const given = { fleets: [fleet.id], write: true };
  const [reader, knower] = [await newToken(cloud, given), await newToken(cloud, { ...given, secrets: true })];
  const shown = async (key: string) => (await relay("/v2/local/target-state", { uuid, method: "GET" }, key)).text;
  expect(await shown(knower.token)).toContain('"A":"a secret"');
  expect(await shown(reader.token)).toContain('"A":"(hidden)"');
});

/** The heads of a device's requests, as they arrive over its socket. Each is answered with 200. */
async function listen({ uuid, api_key: key }: Registered): Promise<RequestHead[]> {
  const heads: RequestHead[] = [];
  const address = `${cloud.url().replace(/^http/, "ws")}/tunnel/${uuid}`;
  const socket: WebSocket = Reflect.construct(WebSocket, [address, { headers: { authorization: `Bearer ${key}` } }]);
  socket.binaryType = "arraybuffer";
  onTestFinished(() => socket.close());
  socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    if (!(data instanceof ArrayBuffer)) return;
    for (const frame of unbundle(data).map(decodeFrame)) {
      if (frame.is !== "request") continue;
      heads.push(frame.head);
      const head = { status: 200, headers: [] };
      socket.send(encodeFrame({ is: "response", id: frame.id, head, body: noBytes, end: true }));
    }
  });
  await new Promise((resolve) => socket.addEventListener("open", resolve));
  socket.send("ping");
  return heads;
}
