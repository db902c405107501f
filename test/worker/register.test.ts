import { describe, expect, test } from "vitest";
import * as z from "zod";
import { ProvisioningKey } from "../../core/api/admin/index.ts";
import { exchanges } from "../cloud/recorded.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { deviations } from "./deviations.ts";
import { newDevice, newFleet, newUuid, Registered, registration } from "./people.ts";
import { ask, found } from "./recorded.ts";

/** The registration of devices: the key that it needs and the key that it gives. */
const cloud = startCloud();

test("the recorded registrations with their short keys get the recorded answers, except for the listed deviations", async () => {
  const [fleet, other] = [await newFleet(cloud, "fleet-one"), await newFleet(cloud, "fleet-two")];
  expect(fleet.id).toBe(1);
  const recorded = exchanges("register", {
    "<provisioning-key>": fleet.key,
    "<provisioning-key-2>": other.key,
    // As long as the keys in the recording.
    "<device-key>": "1".repeat(32),
    "<user-jwt>": adminSecret,
  });
  const differing: Record<string, readonly string[]> = {};
  for (const exchange of recorded.filter(({ name }) => name.startsWith("register"))) {
    const { status, body } = await ask(cloud.url(), exchange);
    const theirs = { status: exchange.response.status, body: exchange.response.body ?? null };
    const paths = found(theirs, { status, body });
    if (paths.length > 0) differing[exchange.name] = paths;
    // The public cloud does not have that device yet.
    const made = Registered.safeParse(body).data;
    if (made && theirs.status !== 201) await cloud.ask("DELETE", `/admin/v1/devices/${made.uuid}`);
  }
  const listed = Object.entries(deviations["register with short keys"]).map(([name, { differ }]) => [name, differ]);
  expect(differing).toEqual(Object.fromEntries(listed));
});

describe("a key that a device proposes", () => {
  test.each([
    ["64 hex digits", "0a".repeat(32), true],
    ["64 hex digits in capitals", "0A".repeat(32), true],
    ["43 characters of base64url", `${"aB-_9".repeat(8)}xyz`, true],
    ["128 characters", "z".repeat(128), true],
    ["63 hex digits", "0".repeat(63), false],
    ["32 letters and digits, as older agents make them", "0123456789abcdefghijklmnopqrstuv", false],
    ["42 characters of base64url", "z".repeat(42), false],
    ["129 characters", "z".repeat(129), false],
    ["a text with other characters", `${"z".repeat(50)} `, false],
    ["one that looks like a token", `fl_${"z".repeat(60)}`, false],
    ["nothing", "", false],
  ])("is accepted if it can have 256 bits, else replaced: %s", async (_, brought, isKept) => {
    const fleet = await newFleet(cloud, `keys ${newUuid()}`);
    const device = await newDevice(cloud, fleet, { api_key: brought });
    expect([device.api_key === brought, /^[0-9a-f]{64}$/.test(device.api_key)]).toEqual([
      isKept,
      !isKept || brought === "0a".repeat(32),
    ]);
    const polls = async (key: string) =>
      (await cloud.ask("GET", `/device/v3/${device.uuid}/state`, undefined, key)).status;
    expect(await polls(device.api_key)).toBe(200);
    if (!isKept && brought !== "") expect(await polls(brought)).toBe(401);
  });
});

describe("a provisioning key", () => {
  const Keyed = ProvisioningKey.extend({ key: z.string() });
  const keysOf = (id: number) => `/admin/v1/fleets/${id}/provisioning-keys`;
  const dayMs = 24 * 60 * 60 * 1000;

  test.each([
    [{}, 90],
    [{ lifetimeDays: 1 }, 1],
    [{ lifetimeDays: 36_500 }, 36_500],
    [{ lifetimeDays: "never" }, undefined],
  ])("with %j is valid for %s days", async (given, days) => {
    const fleet = await newFleet(cloud, `days ${newUuid()}`);
    const { expiresAt } = await cloud.make(Keyed, keysOf(fleet.id), given);
    const left = expiresAt === null ? undefined : Math.round((Date.parse(expiresAt) - Date.now()) / dayMs);
    expect(left).toBe(days);
  });

  test.each([{ lifetimeDays: "long" }, { lifetimeDays: 0 }, { lifetimeDays: 40_000 }, { uses: 0 }, { uses: 1.5 }])(
    "with %j is refused with a message",
    async (given) => {
      const fleet = await newFleet(cloud, `words ${newUuid()}`);
      const { status, json } = await cloud.ask("POST", keysOf(fleet.id), given);
      const [name = ""] = Object.keys(given);
      expect(status).toBe(400);
      expect(json).toMatchObject({ detail: expect.stringMatching(`^${name}: `) });
    },
  );

  test("registers its number of devices, also at the same time, and refused registrations do not count", async () => {
    const fleet = await newFleet(cloud, "uses");
    const { key, id } = await cloud.make(Keyed, keysOf(fleet.id), { uses: 3 });
    const left = async () =>
      (await cloud.get(z.array(ProvisioningKey), keysOf(fleet.id))).find((one) => one.id === id)?.usesLeft;
    const join = (more: object = {}) => cloud.ask("POST", "/device/register", registration(fleet, more), key);
    const first = Registered.parse((await join()).json);
    expect([(await join({ uuid: first.uuid })).status, (await join({ uuid: "abc" })).status]).toEqual([409, 400]);
    expect(await left()).toBe(2);
    const answers = await Promise.all(Array.from({ length: 6 }, () => join()));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 201, 401, 401, 401, 401]);
    expect(answers.find(({ status }) => status === 401)?.json).toEqual({ error: "API key required" });
    expect(await left()).toBe(0);
    expect((await cloud.ask("GET", "/actor/v1/whoami", undefined, key)).status).toBe(401);
    expect((await cloud.ask("GET", "/actor/v1/whoami", undefined, fleet.key)).status).toBe(200);
  });

  test("that is deleted during a registration registers no device", async () => {
    const fleet = await newFleet(cloud, "slow registrations");
    const { key, id } = await cloud.make(Keyed, keysOf(fleet.id));
    const { readable, writable } = new TransformStream<string, string>();
    const writer = writable.getWriter();
    const answer = fetch(`${cloud.url()}/device/register`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: readable.pipeThrough(new TextEncoderStream()),
      ...{ duplex: "half" },
    });
    const body = JSON.stringify(registration(fleet));
    await writer.write(body.slice(0, 5));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await cloud.ask("DELETE", `${keysOf(fleet.id)}/${id}`)).status).toBe(204);
    await writer.write(body.slice(5));
    await writer.close();
    expect((await answer).status).toBe(401);
  });
});
