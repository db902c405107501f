import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { examine, toTable } from "../../runtimes/cli/doctor.ts";
import { plainIo } from "../../runtimes/cli/io.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { startProgram } from "./program.ts";
import { temporaryFolder } from "./temporary-folder.ts";

test("the table gives advice only for what is missing", () => {
  const piece = { effect: "no light", fix: "buy one" };
  const table = toTable(
    [
      { ...piece, name: "lamp", found: "on the desk" },
      { ...piece, name: "candle", found: undefined },
      { ...piece, name: "sun", found: undefined, why: "it is night" },
    ],
    plainIo({}, () => undefined),
  );
  expect(table).toBe(`\
PIECE   FOUND            EFFECT    FIX
lamp    on the desk
candle  no               no light  buy one
sun     no: it is night  no light  buy one
`);
});

describe("on a machine without host services", () => {
  const nothing = async () => {
    const root = await temporaryFolder();
    return ["--host-root", root, "--docker-host", `unix://${root}/no.sock`, "--bus", `unix:path=${root}/no.bus`];
  };

  test("no host feature is found, and the row of the bus gives the reason", async () => {
    const findings = await examine(readSettings(await nothing(), {}));
    const host = findings.filter(({ name }) => name !== "redsocks" && name !== "iptables");
    expect(host.map(({ name, found }) => [name, found])).toEqual(
      [
        ...["engine", "system bus", "systemd-logind", "systemd-hostnamed", "avahi-daemon", "journalctl"],
        ...["boot configuration", "LED"],
      ].map((name) => [name, undefined]),
    );
    expect(findings.find(({ name }) => name === "systemd-logind")?.why).toMatch(
      /^The system bus at .* does not answer/,
    );
  });

  test("the command prints the table, and ends", async () => {
    const { code, stdout, stderr } = await startProgram(["doctor", ...(await nothing())]).ended;
    // There is no engine.
    expect([code, stderr]).toEqual([1, ""]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^PIECE +FOUND +EFFECT +FIX$/);
    expect(lines).toHaveLength(11);
    expect(lines[1]).toMatch(/^engine +no: .*ENOENT.* +nothing runs +install Docker/);
  });
});

test("an LED and a GPIO line from the settings are found", async () => {
  const led = async (...args: readonly string[]) => {
    const root = await temporaryFolder();
    const settings = readSettings(["--host-root", root, "--docker-host", `unix://${join(root, "no")}`, ...args], {});
    return (await examine(settings)).find(({ name }) => name === "LED")?.found;
  };
  expect(await led("--led-file", "/sys/class/leds/ACT/brightness")).toBe("/sys/class/leds/ACT/brightness");
  expect(await led("--led-gpio", "gpiochip0:17")).toBe("line 17 of gpiochip0");
});
