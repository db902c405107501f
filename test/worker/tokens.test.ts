import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { createMemoryDevice, type MemoryDevice } from "../../core/embedded/device.ts";
import { everything } from "../../core/model/scope.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { operationOf } from "../../runtimes/worker/operation.ts";
import { startTunnel, type RunningTunnel } from "../../runtimes/node/tunnel.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, type Registered, type TestFleet } from "./people.ts";

/** What each credential may do, and what ends with it. */
const cloud = startCloud();

/** Connects what answers requests, as that device. */
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

/** A device of the fleet, connected. */
async function newAgentOf(fleet: TestFleet) {
  const device = await newDevice(cloud, fleet);
  const agent = await newAgent(device.uuid);
  const tunnel = await dial(device, agent);
  return { ...device, agent, tunnel };
}

const relay = (path: string, body: object, key: string) => cloud.ask("POST", `/supervisor${path}`, body, key);

describe("GET /v2/cleanup-volumes changes something", () => {
  test("so a token that may only read may not ask for it, however the path and the method are written", async () => {
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
    // Those are nothing on the device.
    for (const path of ["//v2/cleanup-volumes", "/v2/cleanup-volumes//", "/v2/cleanup%2dvolumes"])
      expect([path, await statuses("GET", path)]).toEqual([path, 404]);
    const { token: writer } = await newToken(cloud, { fleets: [fleet.id], write: true });
    expect((await relay("/v2/cleanup-volumes", { uuid, method: "GET" }, writer)).status).toBe(200);
  });

  test("so it may have acted when no answer came", async () => {
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

  test("and the Worker finds it for every path for which the device does", async () => {
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
