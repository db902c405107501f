import { expect, test } from "vitest";
import { Fleet } from "../../core/api/admin/index.ts";
import { startCloud } from "./cloud.ts";
import { newDevice, newFleet } from "./people.ts";

/** The powers over the host that a fleet's services may ask for. */
const cloud = startCloud();

const release = (fleetId: number, web: object) =>
  cloud.ask("POST", `/admin/v1/fleets/${fleetId}/releases`, {
    composition: { services: { web: { image: "web:1", ...web }, db: { image: "db:1" } } },
  });

test("a release lists the powers that its services ask for", async () => {
  const fleet = await newFleet(cloud, "asking");
  expect(fleet.forbidden).toEqual([]);
  const labels = { "io.balena.features.dbus": "1" };
  expect((await release(fleet.id, { cap_add: ["SYS_ADMIN"], labels })).json).toMatchObject({
    powers: { web: ["capabilities", "dbus"] },
  });
  expect((await release(fleet.id, {})).json).toMatchObject({ powers: {} });
});

test("a fleet that forbids powers refuses a release that asks for them, and sends the list to its devices", async () => {
  const fleet = await newFleet(cloud, "forbidding");
  const { uuid, api_key: key } = await newDevice(cloud, fleet);
  const state = async () => (await cloud.ask("GET", `/device/v3/${uuid}/state`, undefined, key)).json;
  expect((await release(fleet.id, { privileged: true })).status).toBe(201);
  expect(JSON.stringify(await state())).not.toContain("FORBIDDEN");

  const path = `/admin/v1/fleets/${fleet.id}`;
  const changed = await cloud.ask("PATCH", path, { forbidden: ["host-pid", "privileged", "privileged"] });
  expect(changed.json).toMatchObject({ forbidden: ["privileged", "host-pid"] });
  const refused = await release(fleet.id, { privileged: true, pid: "host", network_mode: "host" });
  expect([refused.status, refused.json]).toEqual([
    400,
    expect.objectContaining({ detail: "services.web: the fleet forbids privileged, host-pid" }),
  ]);
  expect((await release(fleet.id, { network_mode: "host" })).status).toBe(201);
  // An earlier release may still be pinned.
  expect(await state()).toMatchObject({
    [uuid]: { config: { RESIN_SUPERVISOR_FORBIDDEN_POWERS: "privileged,host-pid" } },
  });
  expect((await cloud.ask("PATCH", path, { name: "still forbidding" })).json).toMatchObject({
    forbidden: ["privileged", "host-pid"],
  });

  await cloud.ask("PATCH", path, { forbidden: [] });
  expect((await release(fleet.id, { privileged: true })).status).toBe(201);
  expect(JSON.stringify(await state())).not.toContain("FORBIDDEN");
});

test("a fleet may forbid powers from its creation, and an unknown power is refused with a message", async () => {
  const fleet = await cloud.make(Fleet, "/admin/v1/fleets", { name: "strict", forbidden: ["engine-socket"] });
  expect(fleet.forbidden).toEqual(["engine-socket"]);
  const labels = { "io.resin.features.balena-socket": "1" };
  expect((await release(fleet.id, { labels })).status).toBe(400);
  const { status, json } = await cloud.ask("POST", "/admin/v1/fleets", { name: "odd", forbidden: ["root"] });
  expect([status, json]).toEqual([
    400,
    expect.objectContaining({ detail: expect.stringMatching(/^forbidden\.0: expected one of privileged, /) }),
  ]);
});
