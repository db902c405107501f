import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { AuditEntry } from "../../core/api/admin/index.ts";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { app } from "../support/device.ts";
import { openExec, type SendExec } from "../support/exec.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, newUuid } from "./people.ts";

/** A program in a device's container, through the relay. */

const cloud = startCloud();

async function deviceOnline(name: string) {
  const fleet = await newFleet(cloud, name);
  const uuid = newUuid();
  const { api_key: key } = await newDevice(cloud, fleet, { uuid });
  const agent = await createMemoryDevice({ identity: { uuid } });
  onTestFinished(() => agent.stop());
  const { fetch: serve, log } = agent;
  const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch: serve, clock: systemClock, log });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  const target = { local: { name: "local", config: {}, apps: { "1": app({ web: {} }) } } };
  await cloud.ask("POST", "/supervisor/v2/local/target-state", { uuid, data: target });
  await agent.settled();
  /** Relays requests for the holder of a token. */
  const as =
    (token: string): SendExec =>
    (method, path, data) =>
      fetch(`${cloud.url()}/supervisor${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ uuid, method, ...(data && { data }) }),
      });
  return { fleet, uuid, agent, as, key };
}

const missing =
  'Forbidden: this token does not have the permission "shell". To make one that has: fairlead cloud token create --shell';

test("a shell is typed through the relay with the permission shell, and audited once", async () => {
  const { fleet, uuid, agent, as } = await deviceOnline("with shells");
  const { id, token } = await newToken(cloud, { name: "alice", fleets: [fleet.id], shell: true });
  const session = await openExec(as(token), { tty: true, columns: 93, rows: 31 });
  const output = await session.read();
  await output.until("# ");
  for (const [n, text] of [..."stty size\r"].entries()) expect(await session.type(text, { sequence: n + 1 })).toBe(204);
  await output.until("31 93\r\n");
  expect((await session.resize({ columns: 41, rows: 17 })).status).toBe(204);
  await session.type("stty size\rexit 7\r", { sequence: 11 });
  expect(await output.toEnd()).toEqual({ exitCode: 7 });
  expect(output.text.stdout).toContain("17 41\r\n");
  expect(agent.log.lines).toContain(`'/bin/sh' in service 'web' is started by token ${id}`);

  const entries = async () => {
    const all = await cloud.get(z.array(AuditEntry), "/admin/v1/audit?limit=500");
    return all.filter(({ who }) => who === id);
  };
  await expect.poll(entries, { timeout: 10_000 }).toHaveLength(1);
  expect(await entries()).toMatchObject([
    { operation: "startExec", method: "POST", uuid, name: "alice", about: "service web", status: 201 },
  ]);
});

test("a token without the permission is told what is missing, whatever else it may do, and is audited", async () => {
  const { fleet, as, agent, key } = await deviceOnline("without shells");
  const { id, token } = await newToken(cloud, { fleets: [fleet.id], write: true, secrets: true, manage: true });
  const requests: readonly [string, string, object?][] = [
    ["POST", "/v3/apps/1/services/web/exec", {}],
    ["POST", "/V3/apps/1/services/web/EXEC/", {}],
    ["GET", "/v3/exec/s1/output"],
    ["POST", "/v3/exec/s1/input", { data: "" }],
    ["POST", "/v3/exec/s1/resize", { columns: 1, rows: 1 }],
    ["DELETE", "/v3/exec/s1"],
  ];
  for (const [method, path, data] of requests) {
    const answer = await as(token)(method, path, data);
    expect([path, answer.status, await answer.json()]).toEqual([path, 403, missing]);
  }
  // A device's own key is not for shells either.
  expect((await as(key)("POST", "/v3/apps/1/services/web/exec", {})).status).toBe(403);
  expect(agent.log.lines.join()).not.toContain("has started");
  const refused = async () =>
    (await cloud.get(z.array(AuditEntry), "/admin/v1/audit?limit=500")).filter(
      ({ who, status }) => who === id && status === 403,
    );
  await expect.poll(refused, { timeout: 10_000 }).toHaveLength(requests.length);
});

test("the owner opens shells; a token gives the permission only if it has it", async () => {
  const { as } = await deviceOnline("of the owner");
  const session = await openExec(as(adminSecret), { command: ["echo", "hello"] });
  const output = await session.read();
  expect([await output.toEnd(), output.text.stdout]).toEqual([{ exitCode: 0 }, "hello\n"]);

  const [manager, both] = [
    await newToken(cloud, { manage: true }),
    await newToken(cloud, { manage: true, shell: true }),
  ];
  const make = (token: string) =>
    cloud.ask("POST", "/admin/v1/tokens", { name: "child", fleets: "all", shell: true }, token);
  expect(await make(manager.token)).toMatchObject({
    status: 403,
    json: expect.objectContaining({ detail: "A token can give no more than it has, and this one may not open shells" }),
  });
  expect(await make(both.token)).toMatchObject({ status: 201, json: { shell: true, write: false } });
});

test("an end of the permission ends the reader's stream", async () => {
  const { fleet, as } = await deviceOnline("revoked");
  const { id, token } = await newToken(cloud, { fleets: [fleet.id], shell: true });
  const session = await openExec(as(token), { tty: true });
  const output = await session.read();
  await output.until("# ");
  expect((await cloud.ask("DELETE", `/admin/v1/tokens/${id}`)).status).toBe(200);
  await expect(output.toEnd()).rejects.toThrow();
  expect([401, 404]).toContain(await session.type("echo still here\r"));
});

test("a shell is not opened on several devices at once", async () => {
  const { fleet } = await deviceOnline("several");
  await newDevice(cloud, fleet);
  const answer = await cloud.ask("POST", "/supervisor/v3/apps/1/services/web/exec", { appId: fleet.id, data: {} });
  expect([answer.status, answer.json]).toEqual([
    400,
    "A shell is opened on one device, but this request selects 2: name one by uuid",
  ]);
});
