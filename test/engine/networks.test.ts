import { rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { makeImage, noDocker, restartEngine, sweep } from "../support/docker.ts";
import { agentOnEngine, docker, target } from "./on-the-engine.ts";

const image = "fairlead-networks:1";

/** Settings that engines return differently: they choose gateways and subnets, and change the order. */
const networks = {
  ungated: { ipam: { config: [{ subnet: "198.18.20.0/24" }] } },
  ipv6: { enable_ipv6: true, ipam: { config: [{ subnet: "2001:DB8:0:20::/64" }] } },
  both: { enable_ipv6: true, ipam: { config: [{ subnet: "2001:DB8:0:21::/64" }, { subnet: "198.18.21.0/24" }] } },
};
const on = Object.keys(networks);
const wish = (changed: object = {}) =>
  target(
    { one: { image, networks: on }, two: { image, networks: ["ungated"] }, three: { image } },
    { networks: { ...networks, ...changed } },
  );

const idsOfNetworks = async (): Promise<Readonly<Record<string, string>>> => {
  const all = await docker.listNetworks({ filters: { label: ["io.balena.app-id=1"] } });
  return Object.fromEntries(all.map(({ Name, Id }) => [Name, Id]));
};

describe.skipIf(noDocker !== undefined)("networks that an engine returns with other values", () => {
  beforeAll(() => makeImage(docker, image));

  test("are created once, and again only if their definition changes", async () => {
    const agent = await agentOnEngine();
    await agent.accept(wish());
    const services = await agent.settled();
    const made = await idsOfNetworks();
    expect(Object.keys(made).sort()).toEqual(["1_both", "1_default", "1_ipv6", "1_ungated"]);

    await agent.accept(wish());
    expect(await agent.settled()).toEqual(services);
    expect(await idsOfNetworks()).toEqual(made);

    await agent.accept(wish({ ipv6: { enable_ipv6: true, ipam: { config: [{ subnet: "2001:db8:0:22::/64" }] } } }));
    const after = await agent.settled();
    const { "1_ipv6": changed, ...others } = await idsOfNetworks();
    expect(changed).not.toBe(made["1_ipv6"]);
    expect(others).toEqual({
      "1_both": made["1_both"],
      "1_default": made["1_default"],
      "1_ungated": made["1_ungated"],
    });
    expect(after["one"]).not.toBe(services["one"]);
    expect(after["two"]).toBe(services["two"]);
    expect(after["three"]).toBe(services["three"]);
  });

  test.skipIf(restartEngine === undefined)(
    "of the reference implementation or an earlier agent are kept too",
    async () => {
      const ours = { "io.balena.supervised": "true", "io.balena.app-id": "1" };
      const make = (Name: string, EnableIPv6: boolean, ...Config: Record<string, string>[]) =>
        docker.createNetwork({
          ...{ Name, EnableIPv6, Driver: "bridge", CheckDuplicate: true },
          Labels: { ...ours, "io.balena.private.ipam.config": "true" },
          IPAM: { Driver: "default", Config },
        });
      onTestFinished(() => sweep(docker));
      await make("1_ungated", false, { Subnet: "198.18.20.0/24" });
      await make("1_ipv6", true, { Subnet: "2001:DB8:0:20::/64" });
      await make("1_both", true, { Subnet: "2001:DB8:0:21::/64" }, { Subnet: "198.18.21.0/24" });
      const made = await idsOfNetworks();
      // After a restart, all engines show the gateways.
      await restartEngine?.();
      const agent = await agentOnEngine();
      await agent.accept(wish());
      await agent.settled();
      expect(await idsOfNetworks()).toMatchObject(made);
    },
  );

  test.skipIf(restartEngine === undefined)("are kept with their services when the engine restarts", async () => {
    const agent = await agentOnEngine();
    await agent.accept(wish());
    const services = await agent.settled();
    const made = await idsOfNetworks();
    await restartEngine?.();
    await agent.accept(wish());
    expect(await agent.settled()).toEqual(services);
    expect(await idsOfNetworks()).toEqual(made);
  });

  test.skipIf(restartEngine === undefined)(
    "are made again, with their services, if the engine has lost them",
    async () => {
      const agent = await agentOnEngine();
      await agent.accept(wish());
      await agent.settled();
      const made = await idsOfNetworks();
      const { DockerRootDir } = z.object({ DockerRootDir: z.string() }).parse(await docker.info());
      rmSync(join(DockerRootDir, "network/files/local-kv.db"));
      await restartEngine?.();
      await agent.accept(wish());
      await agent.settled();
      const again = await idsOfNetworks();
      expect(Object.keys(again).sort()).toEqual(Object.keys(made).sort());
      for (const [name, id] of Object.entries(again)) expect(id).not.toBe(made[name]);
    },
  );
});
