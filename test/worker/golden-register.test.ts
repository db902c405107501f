import { beforeAll, expect, test } from "vitest";
import { exchanges, uuid as recordedUuid } from "../cloud/recorded.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { deviations } from "./deviations.ts";
import { Registered, newFleet } from "./people.ts";
import { ask, found } from "./recorded.ts";

/** The recorded exchanges about registration and device keys, replayed on our cloud without devices. */

const cloud = startCloud();
// A key of the length that our cloud accepts. register.test.ts tests the recording's shorter keys.
const replaced: Record<string, string> = { "<device-key>": "1".repeat(64), "<user-jwt>": adminSecret };

beforeAll(async () => {
  const fleet = await newFleet(cloud, "fleet-one");
  const other = await newFleet(cloud, "fleet-two");
  Object.assign(replaced, { "<provisioning-key>": fleet.key, "<provisioning-key-2>": other.key });
});

test("the recorded registrations get the recorded answers, except for the listed deviations", async () => {
  const differing: Record<string, readonly string[]> = {};
  let id = 1;
  for (const { request, response, name } of exchanges("register", replaced)) {
    const path = request.path.replace("device(1)", `device(${id})`);
    const ours = await ask(cloud.url(), { name, response, request: { ...request, path } });
    const { status, body = null } = response;
    // Our own id, and a generated key, because none was proposed.
    const isMade = (one: string) =>
      one === "body.actorTypeId" || (one === "body.api_key" && !Object.hasOwn(Object(request.body), "api_key"));
    const paths = found({ status, body }, ours).filter((one) => !isMade(one));
    if (paths.length > 0) differing[name] = paths;
    // A device that only our cloud registered is removed for the next exchanges; names are random.
    const device = `/admin/v1/devices/${recordedUuid}`;
    if (name === "register: unknown device_type") await cloud.ask("DELETE", device);
    if (name === "register: ok") {
      id = Registered.parse(ours.body).id;
      await cloud.ask("PATCH", device, { name: "weathered-stream" });
    }
  }
  const listed = Object.entries(deviations.register).map(([name, { differ }]) => [name, differ]);
  expect(differing).toEqual(Object.fromEntries(listed));
});
