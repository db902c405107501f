import { describe, expect, test } from "vitest";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { cloudApp, managedDevice } from "./managed.ts";

/** How services that ask for power over the host are handled. */

const label = { "io.balena.features.host-binds": "1" };
const etc = { driver_opts: { type: "none", o: "bind", device: "/etc" } };
const conf = (labels: Record<string, string>, definition: object) => ({
  "1": app({ web: { labels, volumes: ["conf:/conf", "/var/log:/host/log"] } }, { volumes: { conf: definition } }),
});

const optionsOf = async ({ engine }: TestDevice) =>
  Object.fromEntries((await engine.look()).volumes.map(({ name, spec }) => [name, spec.driverOptions]));

describe("folders of the host", () => {
  test("are mounted for a service with the label, and the log names each", async () => {
    const device = await testDevice();
    await device.run(conf(label, etc));
    expect(await optionsOf(device)).toEqual({ "1_conf": etc.driver_opts });
    expect((await device.container("web")).spec.mounts).toMatchObject([
      { type: "volume", source: "1_conf" },
      { type: "bind", source: "/var/log", target: "/host/log" },
      { target: "/tmp/balena" },
      { target: "/tmp/resin" },
    ]);
    const said = device.log.lines.join("\n");
    expect(said).toContain("local.apps.1.volumes.conf.driver_opts: /etc of the host is mounted");
    expect(said).toContain("local.apps.1.services.1.volumes: /var/log of the host is mounted");
  });

  test("are not mounted for a service without the label", async () => {
    const device = await testDevice();
    await device.run(conf({}, etc));
    expect(await optionsOf(device)).toEqual({ "1_conf": {} });
    expect((await device.container("web")).spec.mounts.map(({ source }) => source)).not.toContain("/var/log");
  });

  test("are no longer mounted once the label is removed, also by an existing volume", async () => {
    const device = await testDevice();
    await device.run(conf(label, etc));
    const { id } = await device.container("web");
    await device.run(conf({}, etc));
    expect(await optionsOf(device)).toEqual({ "1_conf": {} });
    expect(await device.container("web")).toMatchObject({ state: "running" });
    expect((await device.container("web")).id).not.toBe(id);
    const settled = (await device.container("web")).id;
    await device.run(conf({}, etc));
    expect((await device.container("web")).id).toBe(settled);
  });

  test("do not make the agent remove a volume with data", async () => {
    const device = await testDevice();
    const plain = (definition: object) => ({
      "1": app({ web: { volumes: ["conf:/conf"] } }, { volumes: { conf: definition } }),
    });
    await device.run(plain({ driver_opts: { type: "tmpfs", device: "tmpfs" } }));
    const { id } = await device.container("web");
    await device.run(plain(etc));
    expect(await optionsOf(device)).toEqual({ "1_conf": { type: "tmpfs", device: "tmpfs" } });
    expect((await device.container("web")).id).toBe(id);
  });
});

describe("a release with a service that asks for a power that the fleet forbids", () => {
  const fleet = (image: string, composition: object) => ({
    aaaa: cloudApp(1, "first", { web: { image, composition } }),
  });
  const forbidden = { RESIN_SUPERVISOR_FORBIDDEN_POWERS: "privileged,host-binds" };

  test("is rejected, and the running containers go on", async () => {
    const device = await managedDevice();
    await device.runCloud(fleet("web:1", {}), forbidden);
    const { id } = await device.container("web");
    await device.runCloud(fleet("web:2", { privileged: true }), forbidden);
    expect(await device.container("web")).toMatchObject({ id, state: "running" });
    expect((await device.get("/v2/applications/state", device.globalKey())).json).toMatchObject({
      first: { updateStatus: "rejected" },
    });

    await device.runCloud(fleet("web:2", { privileged: true }), { RESIN_SUPERVISOR_FORBIDDEN_POWERS: "host-binds" });
    expect((await device.container("web")).spec.settings).toMatchObject({ privileged: true });
  });

  test("is rejected even if the service has the label", async () => {
    const device = await managedDevice();
    const composition = { volumes: ["/etc:/etc"], labels: label };
    await device.runCloud(fleet("web:1", composition), forbidden);
    expect((await device.engine.look()).containers).toEqual([]);
  });
});
