import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../core/embedded/ports.ts";
import { app, testDevice } from "../support/device.ts";
import { failed, seen, text, unauthorized } from "./answers.ts";
import { bearer, cloudApp, managedDevice, twoApps } from "./managed.ts";

const path = "/v1/regenerate-api-key";

describe("POST /v1/regenerate-api-key", () => {
  test("answers the new key, and the old one is invalid at once", async () => {
    const device = await twoApps();
    const old = await device.keyOf(1, "web");
    const answer = await device.post(path, undefined, old);
    expect(seen(answer)).toEqual(text(200, expect.stringMatching(/^[0-9a-f]{64}$/)));

    expect(seen(await device.get("/v2/version", old))).toEqual(unauthorized);
    expect((await device.get("/v2/version", bearer(answer.text))).status).toBe(200);
    expect((await device.get("/v2/version", await device.keyOf(2, "db"))).status).toBe(200);
  });

  test("gives the new key the access of the old one", async () => {
    const device = await twoApps();
    const { text: key } = await device.post(path, undefined, await device.keyOf(1, "web"));
    expect((await device.get("/v1/apps/1", bearer(key))).status).toBe(200);
    expect((await device.get("/v1/apps/2", bearer(key))).status).toBe(401);
  });

  test("gives the service its new key with the next update, not before", async () => {
    const device = await twoApps();
    const { id } = await device.container("web");
    const { text: key } = await device.post(path, undefined, await device.keyOf(1, "web"));
    expect((await device.container("web")).id).toBe(id);

    await device.post("/v1/update", {}, device.globalKey());
    await device.settled();
    const { spec, ...container } = await device.container("web");
    expect(container.id).not.toBe(id);
    expect(spec.environment).toMatchObject({ BALENA_SUPERVISOR_API_KEY: key, RESIN_SUPERVISOR_API_KEY: key });
  });

  test("replaces the global key too", async () => {
    const device = await managedDevice();
    const { text: key } = await device.post(path, undefined, device.globalKey());
    expect(device.globalKey()).toEqual(bearer(key));
    expect((await device.get("/v2/version", bearer(key))).status).toBe(200);
  });

  test("ignores the body", async () => {
    const device = await managedDevice();
    const headers = { ...device.globalKey(), "content-type": "application/json" };
    expect((await device.send("POST", path, { headers, body: "{bad" })).status).toBe(200);
  });

  test.each([{}, bearer("abc")])("on a device in local mode needs a valid key, not %j", async (headers) => {
    const device = await testDevice();
    expect(seen(await device.post(path, undefined, headers))).toEqual(
      failed(503, "Expected the key to replace, as ?apikey= or in the Authorization header"),
    );
  });
});

describe("the keys of services", () => {
  test("are given only to services that ask for them", async () => {
    const device = await testDevice();
    const asks = (value: string) => ({ labels: { "io.balena.features.supervisor-api": value } });
    await device.run({ "1": app({ one: asks("1"), two: asks("true"), three: asks("0"), four: {} }) });
    const keyOf = async (name: string) => (await device.container(name)).spec.environment["BALENA_SUPERVISOR_API_KEY"];
    expect(await keyOf("one")).toMatch(/^[0-9a-f]{64}$/);
    expect(await keyOf("two")).toMatch(/^[0-9a-f]{64}$/);
    expect(await keyOf("one")).not.toBe(await keyOf("two"));
    expect(await keyOf("three")).toBeUndefined();
    expect(await keyOf("four")).toBeUndefined();
  });

  test("come with the address of the API", async () => {
    const device = await testDevice();
    const labels = { "io.balena.features.supervisor-api": "1" };
    await device.run({ "1": app({ one: { labels }, two: { labels, network_mode: "host" } }) });
    expect((await device.container("one")).spec.environment).toMatchObject({
      BALENA_SUPERVISOR_ADDRESS: "http://10.114.104.1:48484",
      BALENA_SUPERVISOR_HOST: "10.114.104.1",
      BALENA_SUPERVISOR_PORT: "48484",
    });
    expect((await device.container("two")).spec.environment).toMatchObject({
      BALENA_SUPERVISOR_ADDRESS: "http://127.0.0.1:48484",
    });
  });

  test("stay the same for new releases and after a restart of the agent", async () => {
    const store = new MemoryStore();
    const device = await managedDevice({ ports: { store } });
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }) });
    const key = await device.keyOf(1, "web");
    await device.runCloud({ aaaa: cloudApp(1, "first", { web: { image: "web:2" } }) });
    expect(await device.keyOf(1, "web")).toEqual(key);
    device.stop();

    const next = await managedDevice({ ports: { store, engine: device.engine } });
    await next.settled();
    expect((await next.get("/v1/apps/1", key)).status).toBe(200);
    expect(next.globalKey()).toEqual(device.globalKey());
  });
});
