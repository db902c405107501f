import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hostPartOf, powersIn, powersOf } from "../../core/compose/powers.ts";
import { parseCloudTarget } from "../../core/compose/target-state.ts";
import { powers, type Power } from "../../core/model/powers.ts";
import type { App } from "../../core/model/target.ts";
import { body, configOf, entry, facts, read, warningsAbout } from "./read.ts";

const feature = (name: string, value = "1") => ({ labels: { [`io.balena.features.${name}`]: value } });

/** The powers of a service with these fields, in an application with another one, `db`. */
function asked(fields: object, volumes: object = {}): readonly Power[] {
  const { app } = read(body({ "1": entry(fields), "2": entry({ serviceName: "db", imageId: 2 }) }, { volumes }));
  const [service] = app.services;
  return service ? powersOf(service, app) : [];
}

describe("the powers of a service", () => {
  test.each<[object, readonly Power[]]>([
    [{}, []],
    [{ privileged: true }, ["privileged"]],
    [{ pid: "host" }, ["host-pid"]],
    [{ pid: "container:somebody" }, ["host-pid"]],
    [{ pid: "service:db" }, []],
    [{ ipc: "host" }, ["host-ipc"]],
    [{ ipc: "container:somebody" }, ["host-ipc"]],
    [{ ipc: "private" }, []],
    [{ network_mode: "host" }, ["host-network"]],
    [{ network_mode: "container:somebody" }, ["host-network"]],
    [{ network_mode: "container:db" }, []],
    [{ network_mode: "service:db" }, []],
    [{ network_mode: "none" }, []],
    [{ network_mode: "bridge" }, []],
    [{ devices: ["/dev/sda:/dev/sda"] }, ["devices"]],
    [{ device_cgroup_rules: ["b 8:0 rwm"] }, ["devices"]],
    [feature("gpu"), ["devices"]],
    [{ cap_add: ["SYS_ADMIN"] }, ["capabilities"]],
    [{ cap_add: ["cap_net_admin"] }, ["capabilities"]],
    [{ cap_add: ["ALL"] }, ["capabilities"]],
    [{ cap_add: ["NET_RAW", "CAP_CHOWN"] }, []],
    [{ cap_drop: ["ALL"] }, []],
    [{ security_opt: ["seccomp=unconfined"] }, ["unconfined"]],
    [{ security_opt: ["apparmor:unconfined"] }, ["unconfined"]],
    [{ security_opt: ["label=disable"] }, ["unconfined"]],
    [{ security_opt: ["label=type:spc_t"] }, ["unconfined"]],
    [{ security_opt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'] }, ["unconfined"]],
    [{ security_opt: ["systempaths=unconfined"] }, ["unconfined"]],
    [{ security_opt: ["no-new-privileges:true", "no-new-privileges"] }, []],
    [{ userns_mode: "host" }, ["unconfined"]],
    [feature("balena-socket"), ["engine-socket"]],
    [{ labels: { "io.resin.features.balena-socket": "true" } }, ["engine-socket"]],
    [feature("balena-socket", "0"), []],
    [feature("dbus"), ["dbus"]],
    [feature("sysfs"), ["host-files"]],
    [feature("procfs"), ["host-files"]],
    [feature("kernel-modules"), ["host-files"]],
    [feature("firmware"), ["host-files"]],
    [feature("extra-firmware"), ["host-files"]],
    [feature("journal-logs"), ["host-files"]],
    [feature("host-binds"), ["host-binds"]],
    [feature("balena-api"), ["cloud-key"]],
    [feature("supervisor-api"), []],
    [feature("host-os.board-rev"), []],
    [{ volumes: ["data:/data", "/etc:/etc"], tmpfs: ["/run"] }, []],
    [{ privileged: true, pid: "host", ...feature("balena-socket") }, ["privileged", "host-pid", "engine-socket"]],
  ])("%j: %j", (fields, expected) => {
    expect(asked(fields)).toEqual(expected);
  });

  test("are listed by service, without services that have none", () => {
    const { app } = read(body({ "1": entry(), "2": entry({ serviceName: "two", imageId: 2, privileged: true }) }));
    expect(powersIn(app)).toEqual({ two: ["privileged"] });
  });
});

test("every power, and every label that gives a service something, is documented", () => {
  const documented = readFileSync(join(import.meta.dirname, "../../docs/security.md"), "utf8");
  const source = readFileSync(join(import.meta.dirname, "../../core/compose/features.ts"), "utf8");
  const labels = [...source.matchAll(/^  "?([a-z.-]+)"?: \(/gm)].map(([, name = ""]) => name);
  expect(labels.length).toBeGreaterThan(10);
  for (const name of [...powers, ...labels, "host-binds", "optional"]) expect(documented).toMatch(`| \`${name}\``);
});

describe("the host's files that a volume gives access to", () => {
  const local = (driverOptions: Record<string, string>) => ({ driver: "local", driverOptions, labels: {} });

  test.each<[Record<string, string>, string]>([
    [{ type: "none", o: "bind", device: "/etc" }, "/etc"],
    [{ type: "none", o: "rw,rbind", device: "/" }, "/"],
    [{ o: "bind", device: "/etc" }, "/etc"],
    [{ device: "/etc" }, "/etc"],
    [{ type: "ext4", device: "/dev/sda1" }, "/dev/sda1"],
    [{ type: "ext4", device: "UUID=1234" }, "UUID=1234"],
    [{ type: "overlay", device: "overlay", o: "lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w" }, "overlay"],
    [{ type: "proc", device: "proc" }, "proc"],
    [{ type: "sysfs" }, "sysfs"],
    [{ type: "devtmpfs", device: "udev" }, "udev"],
    [{ type: "cgroup2", device: "none" }, "none"],
    [{ type: "9p", device: "hostshare" }, "hostshare"],
    // With any type, these options make the kernel treat the device as a folder.
    [{ type: "tmpfs", o: "size=1m,bind", device: "/etc" }, "/etc"],
    [{ type: "nfs", o: "addr=10.0.0.1, rbind ", device: "/etc" }, "/etc"],
    [{ type: "NFS", device: ":/export" }, ":/export"],
    [{ o: "bind" }, "options"],
  ])("for %j are %s", (options, part) => {
    expect(hostPartOf(local(options))).toBe(part);
  });

  test.each<Record<string, string>>([
    {},
    { size: "10G" },
    { type: "tmpfs", device: "tmpfs", o: "size=100m,uid=1000" },
    { type: "nfs", device: ":/export", o: "addr=10.0.0.1,rw" },
    { type: "nfs4", device: "10.0.0.1:/export" },
    { type: "cifs", device: "//10.0.0.1/share", o: "username=a,password=b" },
  ])("are none for %j", (options) => {
    expect(hostPartOf(local(options))).toBeUndefined();
  });

  test("include a path in an option of another driver", () => {
    const plugin = (driverOptions: Record<string, string>) =>
      hostPartOf({ ...local(driverOptions), driver: "persist" });
    expect(plugin({ mountpoint: "/etc" })).toBe("/etc");
    expect(plugin({ sshcmd: "user@host:/export" })).toBeUndefined();
  });
});

const bindEtc = { driver_opts: { type: "none", o: "bind", device: "/etc" } };
const label = "io.balena.features.host-binds";

describe("a volume that gives access to a folder of the host", () => {
  test("becomes an ordinary volume with a warning", () => {
    const { app, warnings } = read(body({ "1": entry({ volumes: ["conf:/conf"] }) }, { volumes: { conf: bindEtc } }));
    expect(app.volumes["conf"]).toEqual({ driver: "local", driverOptions: {}, labels: {} });
    expect(warnings).toEqual([
      `local.apps.1.volumes.conf.driver_opts: folders and devices of the host are not mounted (/etc), left out; a service that mounts the volume may ask for it by the label ${label}`,
    ]);
  });

  test("is created as written if a service that mounts it has the label, and each service that mounts it has the power", () => {
    const { app, warnings } = read(
      body(
        {
          "1": entry({ volumes: ["conf:/conf"], ...feature("host-binds") }),
          "2": entry({ serviceName: "two", imageId: 2, volumes: ["conf:/conf"] }),
          "3": entry({ serviceName: "three", imageId: 3 }),
        },
        { volumes: { conf: bindEtc } },
      ),
    );
    expect(app.volumes["conf"]?.driverOptions).toEqual({ type: "none", o: "bind", device: "/etc" });
    expect(warnings).toEqual([
      `local.apps.1.volumes.conf.driver_opts: /etc of the host is mounted, as the label ${label} of one asks for it`,
    ]);
    expect(powersIn(app)).toEqual({ one: ["host-binds"], two: ["host-binds"] });
  });

  test("becomes an ordinary volume if only a service that does not mount it has the label", () => {
    const { app } = read(
      body(
        {
          "1": entry({ volumes: ["conf:/conf"] }),
          "2": entry({ serviceName: "two", imageId: 2, ...feature("host-binds") }),
        },
        { volumes: { conf: bindEtc } },
      ),
    );
    expect(app.volumes["conf"]?.driverOptions).toEqual({});
  });
});

describe("folders of the host among a service's own mounts", () => {
  const fields = (volume: unknown) => ({ volumes: [volume], ...feature("host-binds") });

  test.each<[unknown, string]>([
    ["/etc:/host/etc:ro", "/etc"],
    ["/etc/../root/./x:/x", "/root/x"],
    [{ type: "bind", source: "/etc", target: "/host/etc", read_only: true }, "/etc"],
  ])("%j is mounted for a service with the label, with a warning", (volume, source) => {
    expect(configOf(fields(volume)).mounts).toMatchObject([{ type: "bind", source }]);
    expect(warningsAbout(fields(volume))).toEqual([
      `volumes: ${source} of the host is mounted, as the label ${label} asks for it`,
    ]);
  });

  test.each(["./conf:/conf", "~/conf:/conf"])("%s is omitted with a warning", (volume) => {
    expect(configOf(fields(volume)).mounts).toEqual([]);
    expect(warningsAbout(fields(volume))).toEqual([
      `volumes: expected a folder of the host that begins with "/", but got ${volume.split(":")[0]}, left out`,
    ]);
  });
});

describe("a fleet that forbids powers", () => {
  const target = (forbidden: string, composition: object) => ({
    u1: {
      name: "device",
      config: { RESIN_SUPERVISOR_FORBIDDEN_POWERS: forbidden },
      apps: {
        f: {
          id: 1,
          name: "fleet",
          releases: {
            c1: {
              id: 1,
              services: {
                db: { id: 1, image_id: 1, image: "db:1" },
                web: { id: 2, image_id: 2, image: "web:1", composition },
              },
            },
          },
        },
      },
    },
  });
  const parsed = (forbidden: string, composition: object): { app: App | undefined; warnings: readonly string[] } => {
    const result = parseCloudTarget(target(forbidden, composition), facts, "u1");
    if (!result.ok) throw new Error(result.faults.join("\n"));
    return { app: result.target.apps[0], warnings: result.warnings };
  };

  test.each([
    ["privileged", "web: the fleet forbids privileged"],
    ["dbus, privileged engine-socket", "web: the fleet forbids privileged, engine-socket"],
    [powers.join(","), "web: the fleet forbids privileged, engine-socket"],
  ])("(%s) makes its devices reject a release with a service that asks for them", (forbidden, rejected) => {
    const { app, warnings } = parsed(forbidden, { privileged: true, ...feature("balena-socket") });
    expect(app).toMatchObject({ rejected });
    expect(warnings).toEqual([`the release is rejected: ${rejected}`]);
  });

  test.each(["", "host-pid", "host-pid,dbus"])("(%j) accepts the other powers", (forbidden) => {
    const { app, warnings } = parsed(forbidden, { privileged: true, ...feature("balena-socket") });
    expect(app).not.toHaveProperty("rejected");
    expect(warnings).toEqual([]);
  });

  test("gets a warning for powers that a device does not know, and the known ones stay forbidden", () => {
    const { app, warnings } = parsed("teleport,privileged", { privileged: true });
    expect(app).toHaveProperty("rejected");
    expect(warnings[0]).toMatch(
      /^u1\.config\.SUPERVISOR_FORBIDDEN_POWERS: expected privileged, .*, but got teleport, left out$/,
    );
  });
});
