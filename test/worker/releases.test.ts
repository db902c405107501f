import { expect, test } from "vitest";
import { startCloud } from "./cloud.ts";
import { newDevice, newFleet } from "./people.ts";

/** The checks of a release before a fleet gets it. */
const cloud = startCloud();

const create = (fleetId: number, services: object, options: object = {}) =>
  cloud.ask("POST", `/admin/v1/fleets/${fleetId}/releases`, { composition: { services }, ...options });

test("a release with parts that devices do not support is refused, unless that is allowed", async () => {
  const fleet = await newFleet(cloud, "strict");
  const services = { web: { image: "web:1", comand: "run" } };
  const refused = await create(fleet.id, services);
  expect([refused.status, refused.json]).toEqual([
    400,
    expect.objectContaining({ detail: 'services.web.comand: not supported; did you mean "command"?' }),
  ]);
  const allowed = await create(fleet.id, services, { allowUnsupported: true });
  expect(allowed.status).toBe(201);
  expect(allowed.json).toMatchObject({ warnings: ['services.web.comand: not supported; did you mean "command"?'] });
});

test("a dry run lists the changes of a release without making them", async () => {
  const fleet = await newFleet(cloud, "careful");
  const { uuid, api_key: key } = await newDevice(cloud, fleet);
  const state = async () => (await cloud.ask("GET", `/device/v3/${uuid}/state`, undefined, key)).json;
  await create(fleet.id, { web: { image: "web:1", environment: { SECRET: "before" } }, old: { image: "old:1" } });
  const before = await state();

  const next = { web: { image: "web:2", environment: { SECRET: "after" } } };
  const dry = await create(fleet.id, next, { dryRun: true });
  expect([dry.status, dry.json]).toEqual([
    200,
    {
      warnings: [],
      powers: {},
      changes: [
        { part: "service", name: "old", change: "removed", fields: [] },
        { part: "service", name: "web", change: "changed", fields: ["environment.SECRET", "image"] },
      ],
    },
  ]);
  expect(await state()).toEqual(before);
  expect((await create(fleet.id, { web: { image: 3 } }, { dryRun: true })).status).toBe(400);
  expect((await create((await newFleet(cloud, "empty")).id, next, { dryRun: true })).json).toMatchObject({
    changes: [{ part: "service", name: "web", change: "added", fields: [] }],
  });
});
