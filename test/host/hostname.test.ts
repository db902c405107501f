import { beforeAll, describe, expect, test } from "vitest";
import { noHost, startSystemdHost, type SystemdHost } from "../support/systemd-host.ts";
import { startAgentOn } from "./agent-on-host.ts";

const path = "/v1/device/host-config";
const named = (hostname: string) => ({ status: 200, text: JSON.stringify({ network: { hostname } }) });
const naming = (hostname: unknown) => ({ network: { hostname } });

let host: SystemdHost;
beforeAll(async () => {
  if (noHost) return undefined;
  host = await startSystemdHost({ hostname: "before" });
  return host.remove;
});

describe.skipIf(noHost)("the name of a plain systemd machine", () => {
  test("is the kernel's host name, survives a reboot and is announced by avahi", async () => {
    const agent = await startAgentOn(host);
    expect(await agent.get(path)).toEqual(named("before"));
    await host.run("systemctl", "is-active", "avahi-daemon");
    const avahi = await host.run("systemctl", "show", "--property=MainPID", "avahi-daemon");

    expect(await agent.send("PATCH", path, naming("kitchen-7"))).toEqual({ status: 200, text: "OK" });
    expect(await agent.get(path)).toEqual(named("kitchen-7"));
    expect(await host.run("cat", "/proc/sys/kernel/hostname")).toBe("kitchen-7");
    expect(await host.run("cat", "/etc/hostname")).toBe("kitchen-7");
    expect(await host.run("systemctl", "show", "--property=MainPID", "avahi-daemon")).not.toBe(avahi);

    const ended = host.ended();
    await agent.send("POST", "/v1/reboot", {});
    expect(await ended).toBe("rebooted");
    await host.start();
    // The same agent, whose bus is available again.
    expect(await agent.get(path)).toEqual(named("kitchen-7"));
    expect(await host.run("cat", "/proc/sys/kernel/hostname")).toBe("kitchen-7");
  });

  test.each(["", null])("is set to the beginning of the device's uuid by %j", async (nothing) => {
    const agent = await startAgentOn(host);
    expect(await agent.send("PATCH", path, naming(nothing))).toEqual({ status: 200, text: "OK" });
    const name = agent.supervisor.identity.uuid.slice(0, 7);
    expect(await agent.get(path)).toEqual(named(name));
    expect(await host.run("cat", "/proc/sys/kernel/hostname")).toBe(name);
  });

  test("changes without avahi too", async () => {
    await host.run(
      "sh",
      "-c",
      "systemctl stop avahi-daemon.service avahi-daemon.socket && rm /lib/systemd/system/avahi-daemon.* && systemctl daemon-reload",
    );
    const agent = await startAgentOn(host);
    expect(await agent.send("PATCH", path, naming("alone"))).toEqual({ status: 200, text: "OK" });
    expect(await agent.get(path)).toEqual(named("alone"));
  });

  test("is accepted or refused by the same rules as the machine's", async () => {
    const agent = await startAgentOn(host);
    const names = [
      ...[
        "a",
        "UPPER",
        "a.b",
        "a-b",
        "a--b",
        "0",
        "a".repeat(64),
        `${"a".repeat(40)}.${"b".repeat(23)}`,
        "xn--bcher-kva",
      ],
      ...[
        "with_underscore",
        "white space",
        "a".repeat(65),
        "-a",
        "a-",
        "a.-b",
        "a-.b",
        ".a",
        "a.",
        "a..b",
        "é",
        "a/b",
        "a\nb",
      ],
    ];
    const ours: string[] = [];
    const theirs: string[] = [];
    for (const name of names) {
      await host.run("hostnamectl", "set-hostname", "--static", "reset");
      const { status, text } = await agent.send("PATCH", path, naming(name));
      expect([200, 400]).toContain(status);
      if (status === 200) ours.push(name);
      else expect(text).toMatch(/^Could not parse host config input to a valid format:\nnetwork\.hostname: expected /);
      expect(await agent.get(path)).toEqual(named(status === 200 ? name : "reset"));
      const set = ["SetStaticHostname", "sb", name, "false"];
      const call = ["call", "org.freedesktop.hostname1", "/org/freedesktop/hostname1", "org.freedesktop.hostname1"];
      await host.run("busctl", "--", ...call, ...set).then(
        () => theirs.push(name),
        (error: unknown) => expect(String(error)).toContain("Invalid static hostname"),
      );
    }
    expect(ours).toEqual(theirs);
  });
});
