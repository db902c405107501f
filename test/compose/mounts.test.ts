import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Mounts, sortMounts } from "../../core/compose/mounts.ts";
import { fromBinds, toBinds } from "../../core/docker-api/mounts.ts";
import type { Mount } from "../../core/model/container.ts";
import { mount } from "./arbitraries.ts";
import { configOf, faultsIn, read, body, entry, warningsAbout } from "./read.ts";

/** `volume data on /data, read-only (nocopy)` */
const show = ({ type, source, target, readOnly, options }: Mount) =>
  `${type}${source && ` ${source}`} on ${target}${readOnly ? ", read-only" : ""}${options && ` (${options})`}`;

const mountsOf = (fields: object) => configOf(fields).mounts.map(show);

describe("volumes", () => {
  test.each<[unknown, string]>([
    ["data:/data", "volume data on /data"],
    ["data:/data:rw", "volume data on /data"],
    ["data:/data:ro", "volume data on /data, read-only"],
    ["data:/data:nocopy", "volume data on /data (nocopy)"],
    ["data:/data:z,ro,nocopy", "volume data on /data, read-only (nocopy,z)"],
    ["my-data_1.x:/a/b", "volume my-data_1.x on /a/b"],
    ["resin-data:/data", "volume resin-data on /data"],
    [{ type: "volume", source: "data", target: "/data" }, "volume data on /data"],
    [{ type: "volume", source: "data", target: "/data", read_only: true }, "volume data on /data, read-only"],
    [{ type: "volume", source: "data", target: "/data", read_only: "true" }, "volume data on /data, read-only"],
    [{ type: "volume", source: "data", target: "/data", read_only: false }, "volume data on /data"],
    [{ type: "volume", source: "data", target: "/data", volume: {} }, "volume data on /data"],
    [{ type: "volume", source: "data", target: "/data", volume: { nocopy: true } }, "volume data on /data (nocopy)"],
    [{ type: "volume", source: "data", target: "/data", consistency: "cached" }, "volume data on /data"],
    [{ type: "tmpfs", target: "/run" }, "tmpfs on /run"],
    [{ type: "tmpfs", target: "/run", source: "ignored" }, "tmpfs on /run"],
    [{ type: "tmpfs", target: "/run", tmpfs: { size: 1048576 } }, "tmpfs on /run (size=1048576)"],
    [{ type: "tmpfs", target: "/run", tmpfs: { size: "64m" } }, "tmpfs on /run (size=64m)"],
    [{ type: "tmpfs", target: "/run", tmpfs: { mode: "1777" } }, "tmpfs on /run (mode=1777)"],
    // A composition writes 0o1777 or 01777, which arrive as the number 1023; mount(8) reads octal digits.
    [{ type: "tmpfs", target: "/run", tmpfs: { mode: 0o1777 } }, "tmpfs on /run (mode=1777)"],
    [{ type: "tmpfs", target: "/run", tmpfs: { mode: 0o700, size: "1m" } }, "tmpfs on /run (mode=700,size=1m)"],
  ])("%j is a %s", (written, mounted) => {
    expect(mountsOf({ volumes: [written] })).toEqual([mounted]);
  });

  test.each<[unknown, string]>([
    ["/etc:/host/etc", "/etc"],
    ["./conf:/conf", "./conf"],
    ["~/conf:/conf", "~/conf"],
    [{ type: "bind", source: "/etc", target: "/host/etc" }, "/etc"],
    [{ type: "bind", source: "/etc", target: "/host/etc", bind: { propagation: "rslave" } }, "/etc"],
  ])("%j is a folder of the host, and is omitted with a warning", (written, source) => {
    expect(mountsOf({ volumes: [written] })).toEqual([]);
    expect(warningsAbout({ volumes: [written] })).toEqual([
      `volumes: host folders are not mounted (${source}), left out; use a volume or a feature label`,
    ]);
  });

  test("are sorted by their path in the container", () => {
    expect(mountsOf({ volumes: ["b:/b", "c:/c", "a:/a"], tmpfs: "/bb" })).toEqual([
      "volume a on /a",
      "volume b on /b",
      "tmpfs on /bb",
      "volume c on /c",
    ]);
  });

  test("on the same path replace each other, so the last one counts", () => {
    expect(mountsOf({ volumes: ["a:/data", "b:/data"] })).toEqual(["volume b on /data"]);
  });

  test("that the application does not define are created with default settings", () => {
    const { app, warnings } = read(
      body({ "1": entry({ volumes: ["a:/a", "b:/b"] }) }, { volumes: { a: { labels: { x: "1" } } } }),
    );
    expect(app.volumes).toEqual({
      a: { driver: "local", driverOptions: {}, labels: { x: "1" } },
      b: { driver: "local", driverOptions: {}, labels: {} },
    });
    expect(warnings).toEqual(['local.apps.1.volumes: "b" is used but not defined; made with default settings']);
  });

  const expected = 'expected a volume such as "data:/data", "data:/data:ro", or an object with type, source and target';

  test.each<[unknown]>([
    ["data"],
    [""],
    [":/data"],
    ["data:"],
    ["data:data"],
    ["data:/data:ro:x"],
    [1],
    [null],
    [{}],
    [{ type: "volume", source: "data" }],
    [{ type: "volume", source: "data", target: "data" }],
    [{ type: "npipe", source: "data", target: "/data" }],
    [{ source: "data", target: "/data" }],
    [{ type: "volume", source: "data", target: "/data", read_only: "maybe" }],
  ])("%j is refused", (written) => {
    expect(faultsIn({ volumes: ["a:/a", written] })).toEqual([
      `volumes[1]: ${expected}, but got ${JSON.stringify(written)}`,
    ]);
  });

  test("without a source are refused, and the message shows the original text", () => {
    const [fault, ...others] = faultsIn({ volumes: [{ type: "volume", target: "/data" }] });
    expect(others).toEqual([]);
    expect(fault).toMatch(/^volumes\[0\][^ ]*: expected a /);
    expect(fault).not.toContain("readOnly");
  });

  test("that are not a list are refused", () => {
    expect(faultsIn({ volumes: "data:/data" })).toEqual(['volumes: expected a list, but got "data:/data"']);
  });
});

describe("tmpfs", () => {
  test.each<[unknown, readonly string[]]>([
    ["/run", ["tmpfs on /run"]],
    ["/run:size=1m", ["tmpfs on /run (size=1m)"]],
    ["/run:size=1m,mode=1777", ["tmpfs on /run (mode=1777,size=1m)"]],
    ["/run:ro", ["tmpfs on /run (ro)"]],
    ["/run:", ["tmpfs on /run"]],
    [
      ["/run", "/tmp/x:noexec,size=64m"],
      ["tmpfs on /run", "tmpfs on /tmp/x (noexec,size=64m)"],
    ],
    [[], []],
    [null, []],
  ])("%j is %j", (tmpfs, mounted) => {
    expect(mountsOf({ tmpfs })).toEqual(mounted);
  });

  test.each([[{}], [[{}]], [{ "/run": "size=1m" }]])("%j is refused", (tmpfs) => {
    expect(faultsIn({ tmpfs })).toEqual([
      `tmpfs: expected a string or a list of strings, but got ${JSON.stringify(tmpfs)}`,
    ]);
  });

  // An engine always answers "invalid mount path: 'run' mount path must be absolute".
  test.each(["run", "", "./run", 3])("%j is refused, because it is not an absolute path", (tmpfs) => {
    expect(faultsIn({ tmpfs: ["/a", tmpfs] })).toHaveLength(1);
  });
});

describe("the engine's binds", () => {
  test("have one string for each volume and folder, and tmpfs mounts have a separate field", () => {
    const { mounts } = configOf({
      volumes: ["data:/data", "logs:/logs:nocopy,ro", { type: "tmpfs", target: "/t", tmpfs: { size: "1m" } }],
      tmpfs: "/run",
    });
    expect(toBinds(mounts)).toEqual({
      Binds: ["data:/data", "logs:/logs:ro,nocopy"],
      Tmpfs: { "/run": "", "/t": "size=1m" },
    });
  });

  test("are read back unchanged", () => {
    fc.assert(
      fc.property(fc.array(mount), (some) => {
        const mounts = sortMounts(some);
        expect(fromBinds(toBinds(mounts))).toEqual(mounts);
      }),
    );
  });

  test("are read back correctly for every spelling in a composition", () => {
    const source = fc.constantFrom("data", "logs");
    const target = fc.constantFrom("/a", "/b", "/c", "/d/e");
    const flag = fc.constantFrom(undefined, true, false, "true");
    const spelled = fc.oneof(
      fc
        .tuple(source, target, fc.constantFrom("", ":ro", ":rw", ":nocopy,ro", ":ro,nocopy"))
        .map(([from, to, options]) => `${from}:${to}${options}`),
      fc.record({ type: fc.constant("volume"), source, target, read_only: flag, volume: fc.record({ nocopy: flag }) }),
      fc.record({
        type: fc.constant("tmpfs"),
        target,
        read_only: flag,
        tmpfs: fc.record(
          { size: fc.constantFrom(1024, "1m"), mode: fc.constantFrom(0o1777, "755") },
          { requiredKeys: [] },
        ),
      }),
    );
    fc.assert(
      fc.property(fc.array(spelled), (written) => {
        const mounts = sortMounts(Mounts.parse(JSON.parse(JSON.stringify(written))));
        expect(fromBinds(toBinds(mounts))).toEqual(mounts);
      }),
    );
  });

  test("a read-only tmpfs of the long form stays read-only on the engine", () => {
    const { mounts } = configOf({ volumes: [{ type: "tmpfs", target: "/run", read_only: true }] });
    expect(toBinds(mounts).Tmpfs).toEqual({ "/run": "ro" });
  });

  test.each<[Parameters<typeof fromBinds>[0], readonly string[]]>([
    [{}, []],
    [{ Binds: null, Tmpfs: null, Mounts: null }, []],
    [{ Binds: ["1_data:/data:rw"] }, ["volume 1_data on /data"]],
    [{ Mounts: [{ Type: "volume", Source: "1_data", Target: "/data" }] }, ["volume 1_data on /data"]],
    [
      {
        Mounts: [
          { Type: "volume", Source: "1_data", Target: "/data", ReadOnly: true, VolumeOptions: { NoCopy: true } },
          { Type: "bind", Source: "/sys", Target: "/sys", BindOptions: { Propagation: "rslave" } },
          { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 1024, Mode: 0o1777 } },
        ],
      },
      ["volume 1_data on /data, read-only (nocopy)", "bind /sys on /sys (rslave)", "tmpfs on /t (mode=1777,size=1024)"],
    ],
  ])("of another program's container are read: %j", (host, mounted) => {
    expect(fromBinds(host).map(show)).toEqual(mounted);
  });
});
