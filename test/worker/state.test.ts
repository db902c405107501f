import { describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { Device, Release } from "../../core/api/cloud-admin.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { startTunnel } from "../../runtimes/node/tunnel.ts";
import { startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, newUuid, type Registered, type TestFleet } from "./people.ts";

const cloud = startCloud();

const Created = Release.extend({ warnings: z.array(z.string()) });

const release = (fleet: TestFleet, composition: object, commit?: string) =>
  cloud.make(Created, `/admin/v1/fleets/${fleet.id}/releases`, { composition, ...(commit && { commit }) });

const web = (image: string, more: object = {}) => ({ services: { web: { image, ...more } } });

const statePath = ({ uuid }: { uuid: string }) => `/device/v3/${uuid}/state`;

const stateOf = async ({ uuid, api_key: key }: Registered): Promise<any> => {
  const { json } = await cloud.ask("GET", statePath({ uuid }), undefined, key);
  return z.record(z.string(), z.looseObject({})).parse(json)[uuid];
};

test("a fleet's release is what its devices are to be", async () => {
  const fleet = await newFleet(cloud, "what to be");
  const device = await newDevice(cloud, fleet);
  expect(await stateOf(device)).toMatchObject({ apps: { [fleet.uuid]: { id: fleet.id, name: "what to be" } } });
  const made = await release(fleet, web("web:1", { ports: ["80:80"] }), "one");
  expect(made).toMatchObject({ commit: "one", services: ["web"], target: true, devices: 0, warnings: [] });
  const state = await stateOf(device);
  expect(state.apps[fleet.uuid].releases.one.services.web).toEqual({
    id: expect.any(Number),
    image_id: expect.any(Number),
    image: "web:1",
    environment: {},
    labels: {},
    composition: { image: "web:1", ports: ["80:80"] },
  });
});
