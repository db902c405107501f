import { isIP } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { memoryMetrics, memorySystem } from "../../core/embedded/ports.ts";
import type { Metrics } from "../../core/ports/metrics.ts";
import type { System } from "../../core/ports/system.ts";
import { hostMetrics } from "../../hardware/metrics.ts";
import { nodeSystem } from "../../hardware/system.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `Metrics` and `System` in `core/ports/`. */

describe.each<[string, () => Promise<Metrics>]>([
  ["in memory", async () => memoryMetrics],
  ["of this machine", async () => hostMetrics("/", async () => ["/"])],
  ["of a machine that tells little", async () => hostMetrics(await temporaryFolder(), async () => [])],
])("the measurements %s", (_, create) => {
  test("are whole numbers within their bounds, each time", async () => {
    const metrics = await create();
    for (let n = 0; n < 2; n++) {
      const measured = await metrics.measure();
      for (const [name, value] of Object.entries(measured))
        if (!/^(storageDevice|cpuId|isUndervolted)$/.test(name))
          expect([name, value]).toEqual([name, expect.any(Number)]);
      for (const value of Object.values(measured)) if (typeof value === "number") expect(value % 1).toBe(0);
      const { memoryUsedMb, memoryTotalMb, storageUsedMb = 0, storageTotalMb = 0, cpuPercent } = measured;
      for (const [used, total] of [
        [memoryUsedMb, memoryTotalMb],
        [storageUsedMb, storageTotalMb],
        [cpuPercent, 100],
      ] as const) {
        expect(used).toBeGreaterThanOrEqual(0);
        expect(used).toBeLessThanOrEqual(total);
      }
      expect(memoryTotalMb).toBeGreaterThan(0);
      expect(measured.isUndervolted).toBeTypeOf("boolean");
    }
  });

  test("omit values that the machine does not have", async () => {
    expect(Object.values(await (await create()).measure())).not.toContain(undefined);
  });
});

describe.each<[string, () => Promise<System>]>([
  ["in memory", async () => memorySystem],
  ["of this machine", async () => nodeSystem("/", Date.now)],
  ["of a machine whose root is mounted", async () => nodeSystem(join(await temporaryFolder(), "root"), Date.now)],
])("the system %s", (_, create) => {
  test("has each address at which others can reach it, once", async () => {
    const addresses = (await create()).addresses();
    for (const address of addresses) {
      expect(isIP(address)).toBeGreaterThan(0);
      expect(address).not.toMatch(/^(127\.|::1$|fe80:|169\.254\.)/i);
    }
    expect(new Set(addresses).size).toBe(addresses.length);
  });

  test("has MAC addresses in capitals, each once", async () => {
    const addresses = (await create()).macAddresses();
    for (const address of addresses) expect(address).toMatch(/^([0-9A-F]{2}:){5}[0-9A-F]{2}$/);
    expect(new Set(addresses).size).toBe(addresses.length);
  });

  test("has started once, in the past", async () => {
    const system = await create();
    const bootedAt = system.bootedAt();
    expect(bootedAt).toBeLessThanOrEqual(Date.now());
    expect(bootedAt).toBeGreaterThanOrEqual(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(system.bootedAt()).toBe(bootedAt);
  });

  test("has an id of its boot", async () => {
    const system = await create();
    expect(system.bootId()).not.toBe("");
    expect(system.bootId()).toBe((await create()).bootId());
  });

  test("is in a time zone that has a name", async () => {
    const timeZone = (await create()).timeZone();
    expect(new Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone).not.toBe("");
  });

  test("knows whether a VPN is up", async () => {
    expect((await create()).vpnIsUp()).toBe(false);
  });
});
