import { expect, onTestFinished, test } from "vitest";
import { examine } from "../../runtimes/cli/doctor.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { noHost, startSystemdHost } from "../support/systemd-host.ts";

test.skipIf(noHost)("the doctor finds the features of a real systemd machine", async () => {
  const host = await startSystemdHost({ hostname: "patient" });
  onTestFinished(host.remove);
  const root = await host.root();
  const find = async () => {
    const findings = await examine(readSettings(["--host-root", root, "--bus", host.busAddress], {}));
    return Object.fromEntries(findings.map(({ name, found, why }) => [name, found ?? why]));
  };
  expect(await find()).toMatchObject({
    "system bus": host.busAddress,
    "systemd-logind": "the agent may reboot",
    "systemd-hostnamed": "the host is called patient",
    "avahi-daemon": "it runs",
    journalctl: `journalctl --root=${root}`,
  });
  await host.run("systemctl", "stop", "avahi-daemon.service", "avahi-daemon.socket");
  await host.run("systemctl", "mask", "--now", "systemd-logind.service");
  expect(await find()).toMatchObject({
    "systemd-logind": expect.stringMatching(/login1|masked/),
    "avahi-daemon": undefined,
  });
});
