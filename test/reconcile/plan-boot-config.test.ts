import { expect, test } from "vitest";
import type { BootConfigState, BootSettings } from "../../core/model/boot-config.ts";
import { unseen, type CurrentState } from "../../core/reconcile/current.ts";
import { planBootConfig } from "../../core/reconcile/plan-boot-config.ts";
import { planRefusals } from "../../core/reconcile/plan-refusals.ts";
import { describe } from "../../core/reconcile/step.ts";
import { device as facts } from "../support/specs.ts";

const pi = (settings: BootSettings = {}): BootConfigState => ({
  is: "here",
  prefix: "HOST_CONFIG_",
  forbidden: ["kernel", "initramfs"],
  settings,
});
const laptop: BootConfigState = { is: "absent", why: "this board has none" };

const sentences = (
  bootConfig: BootConfigState,
  config: Readonly<Record<string, string>>,
  more: Partial<CurrentState> = {},
): string[] => {
  const current: CurrentState = { ...unseen(0, facts, false), firewall: "unset", bootConfig, ...more };
  const target = { name: "", config, apps: [] };
  return [...planRefusals(current, target), ...planBootConfig(current, target)].map(describe);
};

// The specification's examples of a target state.
const example = {
  HOST_CONFIG_disable_splash: "1",
  HOST_CONFIG_dtparam: '"i2c_arm=on","spi=on","audio=on"',
  HOST_CONFIG_gpio: '"2=op","3=op"',
  HOST_CONFIG_gpu_mem: "16",
};
const exampleSettings = {
  disable_splash: ["1"],
  dtparam: ["i2c_arm=on", "spi=on", "audio=on"],
  gpio: ["2=op", "3=op"],
  gpu_mem: ["16"],
};

test("new settings are written to the boot loader", () => {
  expect(sentences(pi(), example)).toEqual([
    "set the boot configuration: disable_splash=1, dtparam=i2c_arm=on, dtparam=spi=on, dtparam=audio=on, gpio=2=op, gpio=3=op, gpu_mem=16",
  ]);
  expect(sentences(pi(exampleSettings), { ...example, HOST_CONFIG_gpu_mem: "32" })).toHaveLength(1);
});

test("written settings are not written again", () => {
  expect(sentences(pi(exampleSettings), example)).toEqual([]);
  expect(sentences(pi(), { SUPERVISOR_DELTA: "1", HOST_FIREWALL_MODE: "on", HOST_DISCOVERABILITY: "true" })).toEqual(
    [],
  );
});

test("settings that are not in the target state any more are removed", () => {
  expect(sentences(pi({ gpu_mem: ["16"] }), {})).toEqual(["set the boot configuration: "]);
});

test.each([
  ["i2c_arm=on,i2s=on", ["i2c_arm=on,i2s=on"]],
  ['"one"', ["one"]],
  ['"a","b"', ["a", "b"]],
  ['"not closed', ['"not closed']],
  ['"a",1', ['"a",1']],
  ["", [""]],
])("%s means the values %j", (text, values) => {
  expect(sentences(pi({ dtparam: values }), { HOST_CONFIG_dtparam: text })).toEqual([]);
});

const refusals: readonly (readonly [string, BootConfigState, Readonly<Record<string, string>>, string])[] = [
  [
    "the operating system's",
    pi(),
    { HOST_CONFIG_kernel: "x.img" },
    "HOST_CONFIG_kernel is not set: only the operating system may set it",
  ],
  [
    "more than a line",
    pi(),
    { HOST_CONFIG_gpu_mem: "16\nkernel=x.img" },
    "HOST_CONFIG_gpu_mem is not set: expected a key, and a value on one line",
  ],
  [
    "more than a line in a list",
    pi(),
    { HOST_CONFIG_dtparam: '"a\\nkernel=x.img"' },
    "HOST_CONFIG_dtparam is not set: expected a key, and a value on one line",
  ],
  [
    "more than a key",
    pi(),
    { "HOST_CONFIG_kernel=x\n": "1" },
    "HOST_CONFIG_kernel=x\n is not set: expected a key, and a value on one line",
  ],
  [
    "another board's",
    pi(),
    { HOST_EXTLINUX_isolcpus: "2" },
    "HOST_EXTLINUX_isolcpus is not set: this board supports only HOST_CONFIG_…",
  ],
  [
    "any at all, on a board that has none",
    laptop,
    { HOST_CONFIG_gpu_mem: "16" },
    "HOST_CONFIG_gpu_mem is not set: this board has none",
  ],
];

test.each(refusals)("%s is refused once, and the rest is done", (_, board, config, sentence) => {
  expect(sentences(board, config)).toEqual([`refuse of the config: ${sentence}`]);
  expect(sentences(board, config, { refusedConfig: [sentence] })).toEqual([]);
  if (board.is === "here")
    expect(sentences(board, { ...config, HOST_CONFIG_start_x: "1" }, { refusedConfig: [sentence] })).toEqual([
      "set the boot configuration: start_x=1",
    ]);
});
