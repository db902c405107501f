import { expect, test } from "vitest";
import { MemoryBootConfig } from "../../core/embedded/ports.ts";
import { testDevice } from "../support/device.ts";

/** From a target state to the boot configuration and the reboot. */

const body = (config: object) => ({ local: { name: "device", config, apps: {} } });
const path = "/v2/local/target-state";

test("a new boot configuration is written, and the device reboots", async () => {
  const bootConfig = new MemoryBootConfig();
  const device = await testDevice({ ports: { bootConfig } });
  await device.post(path, body({ HOST_CONFIG_gpu_mem: "16", HOST_CONFIG_dtparam: '"spi=on","audio=on"' }));
  while (device.power.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(bootConfig.settings).toEqual({ gpu_mem: ["16"], dtparam: ["spi=on", "audio=on"] });
  expect(device.power.asked).toEqual(["reboot"]);
});

test("a refused boot configuration is logged once, and the device does not reboot", async () => {
  const bootConfig = new MemoryBootConfig();
  const device = await testDevice({ ports: { bootConfig } });
  for (let times = 0; times < 2; times++) {
    await device.post(path, body({ HOST_CONFIG_kernel: "x.img" }));
    await device.settled();
  }
  const said = device.log.lines.filter((line) => line.includes("HOST_CONFIG_kernel"));
  expect(said).toHaveLength(1);
  expect(bootConfig.settings).toEqual({});
  expect(device.power.asked).toEqual([]);
  expect(device.supervisor.loop.isSettled()).toBe(true);
});
