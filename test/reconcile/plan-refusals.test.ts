import { expect, test } from "vitest";
import { unseen, type CurrentState } from "../../core/reconcile/current.ts";
import { planRefusals } from "../../core/reconcile/plan-refusals.ts";
import { describe } from "../../core/reconcile/step.ts";
import { device as facts } from "../support/specs.ts";
import { testDevice } from "../support/device.ts";

/** What of a config a machine does not do. */

const sentences = (config: Record<string, string>, more: Partial<CurrentState> = {}): string[] =>
  planRefusals({ ...unseen(0, facts, false), ...more }, { name: "", config, apps: [] }).map(describe);

const bare = { firewall: { missing: "There is no iptables here" } };
const guarded = { firewall: { closed: false, localMode: false } };

test.each<[string, Record<string, string>, Partial<CurrentState>, string]>([
  [
    "a firewall without iptables",
    { HOST_FIREWALL_MODE: "on" },
    bare,
    "HOST_FIREWALL_MODE is not set: There is no iptables here",
  ],
  [
    "one that depends on the services",
    { HOST_FIREWALL_MODE: "auto" },
    bare,
    "HOST_FIREWALL_MODE is not set: There is no iptables here",
  ],
  [
    "a mode that there is not",
    { HOST_FIREWALL_MODE: "banana" },
    guarded,
    'HOST_FIREWALL_MODE is not set: expected on, off or auto, but got "banana"; taken as off',
  ],
  [
    "a host that must not be found",
    { HOST_DISCOVERABILITY: "false" },
    guarded,
    "HOST_DISCOVERABILITY is not set: the host decides itself whether it announces its name (avahi)",
  ],
  [
    "a journal that stays",
    { SUPERVISOR_PERSISTENT_LOGGING: "true" },
    guarded,
    "SUPERVISOR_PERSISTENT_LOGGING is not set: the host decides itself how its journal is kept (journald.conf)",
  ],
])("%s is refused, once", (_, config, current, sentence) => {
  expect(sentences(config, current)).toEqual([`refuse of the config: ${sentence}`]);
  expect(sentences(config, { ...current, refusedConfig: [sentence] })).toEqual([]);
});

test("supported values, and values without an effect, are not refused", () => {
  for (const mode of ["on", "auto", "off", ""]) expect(sentences({ HOST_FIREWALL_MODE: mode }, guarded)).toEqual([]);
  for (const mode of ["off", ""]) expect(sentences({ HOST_FIREWALL_MODE: mode }, bare)).toEqual([]);
  expect(sentences({ HOST_DISCOVERABILITY: "true", SUPERVISOR_PERSISTENT_LOGGING: "false" }, guarded)).toEqual([]);
});

test("each refusal is logged once, however often the target is set, and a new one does not repeat the others", async () => {
  const device = await testDevice({ ports: { firewall: { missing: "There is no iptables here" } } });
  const warnings = () => device.log.lines.filter((line) => line.startsWith("warning: "));
  const run = (config: object) => device.run({}, { local: { name: "device", apps: {}, config } });
  for (let times = 0; times < 3; times++) await run({ HOST_FIREWALL_MODE: "on" });
  expect(warnings()).toEqual(["warning: HOST_FIREWALL_MODE is not set: There is no iptables here"]);
  await run({ HOST_FIREWALL_MODE: "on", HOST_DISCOVERABILITY: "0" });
  expect(warnings()).toHaveLength(2);
  expect(device.supervisor.loop.isSettled()).toBe(true);
});
