import { describe, expect, test } from "vitest";
import { MemoryFirewall } from "../../core/embedded/ports.ts";
import type { Firewall } from "../../core/ports/firewall.ts";
import { IptablesFirewall } from "../../hardware/firewall.ts";
import type { Run } from "../../hardware/run.ts";

/** The promises of `Firewall` in `core/ports/`. With the real iptables: test/host/firewall.test.ts. */

const memory = (): { readonly firewall: Firewall } => ({ firewall: new MemoryFirewall() });

/** `refuse`: the kernel takes no rules from now on. */
function iptables() {
  let refuses = false;
  const run: Run = async (command) =>
    refuses && command.endsWith("-restore")
      ? { code: 4, stdout: "", stderr: "the kernel refuses" }
      : { code: 0, stdout: "", stderr: "" };
  return {
    firewall: new IptablesFirewall({ apiPort: () => 48484, onLan: true, run }),
    refuse: () => void (refuses = true),
  };
}

const open = { closed: false, localMode: false };
const closed = { closed: true, localMode: true };

describe.each([
  ["in memory", memory],
  ["by iptables", iptables],
])("the firewall %s", (_, create) => {
  test("has no policy until one is set", () => {
    expect(create().firewall.policy()).toBeUndefined();
  });

  test("has the policy that was set last", async () => {
    const { firewall } = create();
    for (const policy of [open, closed, closed, open]) {
      await firewall.set(policy);
      expect(firewall.policy()).toEqual(policy);
    }
    await Promise.all([firewall.set(open), firewall.set(closed)]);
    expect(firewall.policy()).toEqual(closed);
  });
});

test("the firewall by iptables keeps its policy when the kernel refuses a new one", async () => {
  const { firewall, refuse } = iptables();
  await firewall.set(open);
  refuse();
  await expect(firewall.set(closed)).rejects.toThrow("the kernel refuses");
  expect(firewall.policy()).toEqual(open);
});
