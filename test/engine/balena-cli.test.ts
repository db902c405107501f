import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker, polite } from "../support/docker.ts";
import { agentOnEngine, docker, inspect, names } from "./on-the-engine.ts";

/** The requests of balena-cli, as observed on the wire, with images like the ones it builds. */

const localApp = (services: object, more: object = {}) => ({
  local: {
    name: "local",
    config: { RESIN_SUPERVISOR_LOCAL_MODE: "1" },
    apps: { "1": { name: "localapp", commit: "10ca12e1ea5e", releaseId: "1", services, volumes: {}, ...more } },
  },
  dependent: { apps: [], devices: [] },
});

/** Version 25 sends the command of "alpha" as a list, version 22 as one string. */
const v25 = localApp(
  {
    "1": {
      environment: { X: "1", Y: "2" },
      labels: {},
      command: ["sh", "-c", polite],
      networks: { default: null },
      imageId: 1,
      serviceName: "alpha",
      serviceId: 1,
      image: "local_image_alpha:latest",
      running: true,
    },
    "2": {
      environment: { Y: "2" },
      labels: {},
      command: null,
      networks: { default: null },
      imageId: 2,
      serviceName: "beta",
      serviceId: 2,
      image: "local_image_beta:latest",
      running: true,
    },
  },
  { networks: { default: { ipam: {} } } },
);

const v22 = localApp(
  {
    "1": {
      environment: { X: "1", Y: "2" },
      labels: {},
      command: "sh -c 'trap exit TERM; while :; do sleep 1; done'",
      imageId: 1,
      serviceName: "alpha",
      serviceId: 1,
      image: "local_alpha",
      running: true,
    },
    "2": {
      environment: { Y: "2" },
      labels: {},
      imageId: 2,
      serviceName: "beta",
      serviceId: 2,
      image: "local_beta",
      running: true,
    },
  },
  { networks: {} },
);

const features = ["kernel-modules", "firmware", "dbus", "supervisor-api", "balena-api"];
const dockerfile = localApp(
  {
    "1": {
      environment: {},
      labels: Object.fromEntries(features.map((feature) => [`io.resin.features.${feature}`, "1"])),
      privileged: true,
      tty: true,
      restart: "always",
      network_mode: "host",
      volumes: ["resin-data:/data"],
      imageId: 1,
      serviceName: "main",
      serviceId: 1,
      image: "local_image_beta:latest",
      running: true,
    },
  },
  { volumes: { "resin-data": {} }, networks: {} },
);

describe.skipIf(noDocker !== undefined)("balena push", () => {
  beforeAll(async () => {
    for (const name of ["local_image_alpha:latest", "local_image_beta:latest", "local_alpha", "local_beta"])
      await makeImage(docker, name);
  });

  test("of a composition by version 25 and then by version 22 works", async () => {
    const agent = await agentOnEngine();
    await agent.accept(v25);
    const first = await agent.settled();
    expect(await names()).toEqual(["alpha_1_1_10ca12e1ea5e", "beta_2_1_10ca12e1ea5e"]);
    const alpha = await inspect(first["alpha"]);
    expect([alpha.State.Running, alpha.Config.Cmd]).toEqual([true, ["sh", "-c", polite]]);
    expect(alpha.Config.Env).toEqual(expect.arrayContaining(["X=1", "Y=2"]));
    expect((await inspect(first["beta"])).Config.Cmd).toEqual(["/bin/sh", "/run.sh"]);

    await agent.accept(v22);
    const second = await agent.settled();
    expect(await names()).toEqual(["alpha_1_1_10ca12e1ea5e", "beta_2_1_10ca12e1ea5e"]);
    const { State, Config, Image } = await inspect(second["alpha"]);
    expect([State.Running, Config.Cmd]).toEqual([true, ["sh", "-c", "trap exit TERM; while :; do sleep 1; done"]]);
    expect(Image).toBe((await docker.getImage("local_alpha").inspect()).Id);
  });

  // The machine decides if a privileged container may start. The test checks that it is created as privileged.
  test("of a single Dockerfile works", async () => {
    const agent = await agentOnEngine();
    await agent.accept(dockerfile);
    // An engine lists a container some moments before it is created, so the list is not enough.
    const installed: unknown = expect.stringContaining("Installed service 'main ");
    await expect.poll(() => agent.said, { timeout: 60_000 }).toContainEqual(installed);
    expect(await names()).toEqual(["main_1_1_10ca12e1ea5e"]);
    const { HostConfig, Config } = await inspect("main_1_1_10ca12e1ea5e");
    expect(HostConfig).toMatchObject({ Privileged: true, NetworkMode: "host", RestartPolicy: { Name: "always" } });
    expect(HostConfig.Binds).toEqual(
      expect.arrayContaining(["1_resin-data:/data", "/lib/modules:/lib/modules", "/run/dbus:/host/run/dbus"]),
    );
    expect(Config.Labels).toMatchObject({ "io.balena.features.supervisor-api": "1" });
    expect(Config.Env).toContain(`BALENA_SUPERVISOR_ADDRESS=${agent.url}`);
  });
});
