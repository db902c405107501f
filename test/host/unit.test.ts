import { execFile, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { makeImage, noDocker } from "../support/docker.ts";
import { noHost, startSystemdHost, type SystemdHost } from "../support/systemd-host.ts";
import { wait } from "../support/wait.ts";

/**
 * The published package and its unit, installed as the unit's first lines say, on a machine with a real systemd and an
 * engine of its own. The tests depend on each other: each continues with the machine of the previous one.
 */

const root = join(import.meta.dirname, "../..");
const execute = promisify(execFile);

const image = "fairlead-unit:1";
const lockFolder = "/tmp/balena-supervisor/services/1/one";
/** A file in /sys that accepts 1 and 0. It replaces an LED, because this machine has none. */
const light = "/sys/class/net/lo/tx_queue_len";

/** Flags of `fairlead agent`, as variables. */
const settings: Readonly<Record<string, string>> = {
  DOCKER_HOST: "unix:///run/dbus/docker.sock",
  FAIRLEAD_BOOT_CONFIG: "/boot/config.txt",
};

let host: SystemdHost;
let docker: Docker;

beforeAll(async () => {
  if (noHost ?? noDocker) return;
  host = await startSystemdHost({ hostname: "unit", withEngine: true });
  docker = new Docker({ socketPath: host.dockerHost.replace("unix://", "") });
  await makeImage(docker, image);
  await install();
});
afterAll(() => host?.remove());

async function install(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-unit-"));
  try {
    await execute(process.execPath, ["--import", "tsx", "packaging/build.ts", join(folder, "dist")], { cwd: root });
    const inside = join(await host.root(), "usr/local");
    // Like npm, but without the registry, because all dependencies are bundled.
    cpSync(join(folder, "dist"), join(inside, "lib/node_modules/fairlead"), { recursive: true });
    cpSync(process.execPath, join(inside, "bin/node"));
  } finally {
    rmSync(folder, { recursive: true });
  }
  writeFileSync(join(await host.root(), "boot/config.txt"), "dtparam=audio=on\n");
  await configure(settings);
  // Each start of this machine mounts a new boot id into its /proc; systemd gives the unit another /proc.
  const bootId = "[Service]\nBindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\n";
  mkdirSync(join(await host.root(), "etc/systemd/system/fairlead.service.d"));
  writeFileSync(join(await host.root(), "etc/systemd/system/fairlead.service.d/boot-id.conf"), bootId);
  await shell(`
    ln -s ../lib/node_modules/fairlead/cli.js /usr/local/bin/fairlead
    cd /usr/local/lib/node_modules/fairlead/systemd
    cp fairlead.service /etc/systemd/system/ && cp fairlead.conf /etc/tmpfiles.d/
    systemd-tmpfiles --create fairlead.conf && systemctl enable --now fairlead
  `);
  await answers();
}

const shell = (script: string) => host.run("sh", "-ec", script);

async function configure(variables: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(await host.root(), "etc/fairlead.env"), lines.join(""));
}

async function restart(variables = settings): Promise<void> {
  await configure(variables);
  // systemd refuses more than five starts in ten seconds.
  await shell("systemctl reset-failed fairlead; systemctl restart fairlead");
  await answers();
}

const answers = () =>
  wait("the agent to answer", async () => (await ask("GET", "/ping").catch(() => undefined))?.status === 200);

/** The command line for a program of the test in the machine's network. The program outlives the machine. */
async function inNetwork(script: string, args: readonly string[]): Promise<[string, string[]]> {
  const [, pid = ""] = /^\/proc\/(\d+)\//.exec(await host.root()) ?? [];
  return ["nsenter", ["--net", `--target=${pid}`, process.execPath, "-e", script, ...args]];
}

const Answer = z.object({ status: z.number(), text: z.string() });
const asking = `
const [method, path, body] = process.argv.slice(1);
const headers = { "content-type": "application/json" };
const answer = await fetch("http://127.0.0.1:48484" + path, { method, headers, ...(body && { body }) });
console.log(JSON.stringify({ status: answer.status, text: await answer.text() }));
`;

async function ask(method: string, path: string, body?: object): Promise<z.output<typeof Answer>> {
  const args = [method, path, ...(body ? [JSON.stringify(body)] : [])];
  const { stdout } = await execute(...(await inNetwork(asking, args)));
  return Answer.parse(JSON.parse(stdout));
}

const ok = { status: 200, text: "OK" };

async function want(config: Readonly<Record<string, string>>): Promise<void> {
  const one = { serviceName: "one", imageId: 1, image, environment: {}, labels: {} };
  const app = { name: "fleet", commit: "c1", releaseId: 1, services: { "1": one } };
  const answer = await ask("POST", "/v2/local/target-state", { local: { name: "device", config, apps: { "1": app } } });
  expect(answer.status).toBe(200);
}

/** The running containers of the service. */
async function running(): Promise<string[]> {
  const containers = await docker.listContainers({ filters: { label: ["io.balena.service-name=one"] } });
  return containers.map(({ Id }) => Id);
}

const agentPid = () => shell("systemctl show --property=MainPID --value fairlead");
/** Runs a script in the agent's mount namespace. */
const asAgent = async (script: string) => shell(`nsenter --mount --target=${await agentPid()} sh -ec '${script}'`);

/** Tests of the agent's access to its host, for each kind of confinement. `name` is a new host name. */
function features(name: string): void {
  test("update locks of any user are respected, and overridden by force", async () => {
    const [id = ""] = await running();
    const inService = async (User: string, ...Cmd: string[]) => {
      const exec = await docker.getContainer(id).exec({ Cmd, User, AttachStdout: true, AttachStderr: true });
      for await (const _ of await exec.start({})) continue;
      expect((await exec.inspect()).ExitCode).toBe(0);
    };
    await inService("1234", "touch", "/tmp/balena/updates.lock");
    const path = "/v2/applications/1/restart-service";
    expect(await ask("POST", path, { serviceName: "one" })).toMatchObject({
      status: 423,
      text: expect.stringContaining("Lockfile exists for { appId: 1, service: one }"),
    });
    expect(await running()).toEqual([id]);
    expect((await ask("POST", path, { serviceName: "one", force: true })).status).toBe(200);
    await wait("the service to run again", async () => (await running()).length === 1);
    expect(await shell(`ls ${lockFolder}`)).toBe("");
  });

  test("the host is renamed by systemd-hostnamed", async () => {
    expect(await ask("PATCH", "/v1/device/host-config", { network: { hostname: name } })).toEqual(ok);
    expect(await shell("cat /etc/hostname /proc/sys/kernel/hostname")).toBe(`${name}\n${name}`);
    expect(JSON.parse((await ask("GET", "/v1/device/host-config")).text)).toEqual({ network: { hostname: name } });
  });

  test("the firewall closes and opens the host", async () => {
    const closed = async () =>
      Promise.all(["iptables", "ip6tables"].map((tables) => shell(`${tables} -S`))).then((texts) =>
        texts.map((text) => text.includes("-A BALENA-FIREWALL -j REJECT")),
      );
    expect(await closed()).toEqual([false, false]);
    await want({ HOST_FIREWALL_MODE: "on" });
    await wait("the host to be closed", async () => !(await closed()).includes(false));
    await want({});
    await wait("the host to be open", async () => !(await closed()).includes(true));
  });

  test("the journal is read, and followed until the reader disconnects", async () => {
    const ofUnit = await ask("POST", "/v2/journal-logs", { unit: "docker.service", format: "cat" });
    expect(ofUnit.text).toContain("Started docker.service");
    const [id = ""] = await running();
    const ofService = await ask("POST", "/v2/journal-logs", { containerId: id, format: "cat" });
    expect(ofService.text).toContain("hello from one");

    const following = `
      const body = JSON.stringify({ follow: true, format: "cat" });
      const headers = { "content-type": "application/json" };
      const answer = await fetch("http://127.0.0.1:48484/v2/journal-logs", { method: "POST", headers, body });
      for await (const chunk of answer.body) process.stdout.write(chunk);
    `;
    const reader = spawn(...(await inNetwork(following, [])));
    onTestFinished(() => void reader.kill("SIGKILL"));
    let text = "";
    reader.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    await shell("echo 'news of the host' | systemd-cat");
    await wait("what was written now", async () => text.includes("news of the host\n"));
    const followers = () => shell("pgrep -x journalctl || true");
    expect(await followers()).toMatch(/^\d+$/);
    reader.kill("SIGKILL");
    await wait("journalctl to end", async () => (await followers()) === "");
  });
}

describe.skipIf(noHost ?? noDocker)("the unit", () => {
  test("has an exposure below 4.0 and no faults in systemd's check", async () => {
    const unit = "/etc/systemd/system/fairlead.service";
    expect(await shell(`systemd-analyze security --offline=yes --threshold=39 ${unit}`)).toContain("exposure level");
    expect(await shell("systemd-analyze verify fairlead.service 2>&1 | grep fairlead || true")).toBe("");
    expect(await shell("journalctl --unit=fairlead --output=cat")).toContain("engine   Docker");
  });

  test("confines the agent", async () => {
    const status = await shell(`cat /proc/${await agentPid()}/status`);
    // CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, NET_ADMIN, NET_RAW: capabilities(7), linux/capability.h.
    expect(/^CapBnd:\t(\w+)$/m.exec(status)?.[1]).toBe("00000000000030eb");
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    for (const path of ["/etc/x", "/usr/x", "/var/x", "/sys/kernel/x", "/proc/sys/kernel/hostname"])
      await expect(asAgent(`echo x >${path}`), path).rejects.toThrow("Read-only file system");
    expect(await asAgent("cd /var/lib/fairlead && touch x && rm x && echo done")).toBe("done");
    const properties = "--property=MemoryHigh --property=MemoryMax --property=TasksMax";
    expect((await shell(`systemctl show ${properties} fairlead`)).split("\n").sort()).toEqual([
      "MemoryHigh=268435456",
      "MemoryMax=536870912",
      "TasksMax=256",
    ]);
  });

  test("lets the agent read the registries' credentials, also later ones, and nothing else in the home folder", async () => {
    await shell("echo secret >/root/.docker/config.json; echo secret >/root/private");
    expect(await asAgent("cat /root/.docker/config.json")).toBe("secret");
    await expect(asAgent("cat /root/private")).rejects.toThrow("No such file");
  });
});

describe.skipIf(noHost ?? noDocker)("under the unit", () => {
  test("services run and share their folder only with the agent", async () => {
    await want({});
    await wait("the service to run", async () => (await running()).length === 1);
    expect(await shell(`stat -c %a /tmp/balena-supervisor /tmp/balena-supervisor/services ${lockFolder}`)).toBe(
      "700\n700\n1777",
    );
    const asNobody = `setpriv --reuid=nobody --regid=nogroup --clear-groups`;
    await expect(shell(`${asNobody} touch ${lockFolder}/updates.lock`)).rejects.toThrow("Permission denied");
  });

  test("locks are not removed by the clean-up of /tmp", async () => {
    await shell(`
      echo 'd /tmp 1777 root root m:10d' >/etc/tmpfiles.d/tmp.conf
      touch --date='40 days ago' /tmp/old ${lockFolder}/updates.lock
      systemd-tmpfiles --clean
    `);
    expect(await shell(`ls -d /tmp/old ${lockFolder}/updates.lock 2>/dev/null || true`)).toBe(
      `${lockFolder}/updates.lock`,
    );
    await shell(`rm ${lockFolder}/updates.lock`);
  });

  features("kitchen");

  test("redsocks runs as its own user, outlives the agent, is taken over, and ends", async () => {
    const proxy = { type: "socks5", ip: "192.0.2.1", port: 1080, login: "me", password: "secret" };
    const redsocks = () => shell("ps -C redsocks -o user=,pid= || true");
    const rules = () => shell("iptables-save -t nat | grep FAIRLEAD || true");
    expect(await ask("PATCH", "/v1/device/host-config", { network: { proxy } })).toEqual(ok);
    const first = await redsocks();
    expect(first).toMatch(/^redsocks +\d+$/);
    expect(await rules()).toContain("-j DNAT --to-destination 10.114.103.1:12345");

    await restart();
    expect(await redsocks()).toBe(first);
    await shell("systemctl kill --signal=KILL fairlead");
    // This ends all processes of the unit, so the next agent starts another one.
    await wait("redsocks to run again", async () => /^redsocks +\d+$/.test(await redsocks()));
    await answers();
    expect(await redsocks()).not.toBe(first);
    expect(await rules()).toContain("-j DNAT --to-destination 10.114.103.1:12345");

    expect(await ask("PATCH", "/v1/device/host-config", { network: { proxy: null } })).toEqual(ok);
    expect(await redsocks()).toBe("");
    expect(await rules()).toBe("");
    expect(await shell("ip address show dev lo")).not.toContain("10.114.103.1");
  });

  test("an LED in /sys blinks", async () => {
    // /sys is read-only in a container, but not on a machine.
    await shell("mount -o remount,rw /sys");
    await restart({ ...settings, LED_FILE: light });
    const before = await shell(`cat ${light}`);
    expect((await ask("POST", "/v1/blink", {})).status).toBe(200);
    for (const value of ["1", "0"]) await wait(`a ${value}`, async () => (await shell(`cat ${light}`)) === value);
    await shell("systemctl stop fairlead");
    expect(await shell(`cat ${light}`)).toBe(before);
  });

  test("gpioset drives a GPIO line with the same confinement as the agent", async () => {
    // A device that every container may open, but the agent may not.
    await shell("mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200");
    const program = `#!/bin/sh
      if [ "$1" = --version ]; then echo v2.0; exit; fi
      echo "$@" >>/tmp/gpioset
      { true </dev/net/tun; unshare --net true; mount -t tmpfs none /mnt; } 2>>/tmp/denied
      exec sleep 60
    `;
    writeFileSync(join(await host.root(), "usr/local/bin/gpioset"), program, { mode: 0o755 });
    await restart({ ...settings, LED_GPIO: "gpiochip0:17" });
    expect((await ask("POST", "/v1/blink", {})).status).toBe(200);
    await wait("the line to go up and down", async () =>
      (await shell("cat /tmp/gpioset || true")).startsWith("--chip=gpiochip0 17=1\n--chip=gpiochip0 17=0"),
    );
    const denied = (await shell("cat /tmp/denied")).split("\n");
    expect(denied[0]).toContain("/dev/net/tun: Operation not permitted");
    expect(denied[1]).toContain("unshare failed: Operation not permitted");
    expect(denied[2]).toContain("permission denied");
    expect(await shell("true </dev/net/tun 2>&1 || true")).not.toContain("not permitted");
    await restart();
  });

  test("the doctor finds the host's features", async () => {
    const table = await shell(`DOCKER_HOST=${settings.DOCKER_HOST} fairlead doctor --boot-config /boot/config.txt`);
    for (const found of [
      /^engine +Docker \d/m,
      /^system bus +unix:path=/m,
      /^systemd-logind +the agent may reboot$/m,
      /^systemd-hostnamed +the host is called kitchen$/m,
      /^journalctl +journalctl$/m,
      /^redsocks +\/usr\/sbin\/redsocks$/m,
      /^iptables +\/usr\/sbin\/iptables-restore$/m,
      /^boot configuration +it takes HOST_CONFIG_…$/m,
    ])
      expect(table).toMatch(found);
  });

  test("config.txt is written and the machine reboots once, and afterwards the file is restored", async () => {
    const ended = host.ended();
    await want({ HOST_CONFIG_gpu_mem: "16" });
    expect(await ended).toBe("rebooted");
    await host.start();
    await answers();
    expect(await shell("cat /boot/config.txt")).toContain("dtparam=audio=on\n# Below: HOST_CONFIG_");
    await wait("the service to run", async () => (await running()).length === 1);
    expect(await shell("ls -A /tmp/balena-supervisor")).toBe("services");
    expect(await shell("stat -c %a /tmp/balena-supervisor")).toBe("700");
    await wait("nothing to be left to do", async () =>
      (await ask("GET", "/v2/state/status")).text.includes('"appState":"applied"'),
    );
  });

  test.each([
    ["reboot", "rebooted"],
    ["shutdown", "powered off"],
  ])("the agent asks logind to %s the machine", async (action, how) => {
    const ended = host.ended();
    expect(await ask("POST", `/v1/${action}`, {})).toEqual({ status: 202, text: '{"Data":"OK","Error":""}' });
    expect(await ended).toBe(how);
    await host.start();
    await answers();
  });
});

/** The Dockerfile's command with another path of the engine's socket, and a state of its own. */
function documentedRun(): string {
  const [command = ""] =
    /docker run (?:.*\\\n)*.* fairlead$/m.exec(readFileSync(join(root, "Dockerfile"), "utf8")) ?? [];
  return command
    .replace(/\\\n# +/g, "")
    .replace("-v /var/run/docker.sock", "-v /run/dbus/docker.sock")
    .replace(/ fairlead$/, " -e FAIRLEAD_STATE_DIR=/host/root/state fairlead");
}

describe.skipIf(noHost ?? noDocker)("in a container that runs as the Dockerfile says,", () => {
  const inContainer = (command: string) => shell(`docker --host ${settings["DOCKER_HOST"]} ${command}`);

  test("the agent finds the host's features and has only the needed capabilities", async () => {
    cpSync(join(root, "Dockerfile"), join(await host.root(), "root/context/Dockerfile"));
    await shell(`
      systemctl disable --now fairlead
      export DOCKER_HOST=${settings["DOCKER_HOST"]}
      tar -C / --one-file-system --exclude=./etc/fairlead.env -c . | docker import - machine
      cd /root/context && cp -r /usr/local/lib/node_modules/fairlead dist
      docker build --quiet --build-arg NODE_IMAGE=machine --tag fairlead .
      ${documentedRun()}
    `);
    await answers().catch(async (error: unknown) => {
      throw new Error(`${String(error)}: ${await inContainer("logs --tail 5 fairlead 2>&1")}`);
    });
    const table = await inContainer("exec fairlead /opt/fairlead/cli.js doctor");
    for (const found of [
      /^engine +Docker \d/m,
      /^system bus +unix:path=\/host\/run/m,
      /^systemd-logind +the agent may reboot$/m,
      /^journalctl +chroot \/host journalctl$/m,
      /^redsocks +\/usr\/sbin\/redsocks$/m,
      /^iptables +\/usr\/sbin\/iptables-restore$/m,
    ])
      expect(table).toMatch(found);
    const status = await inContainer("exec fairlead cat /proc/1/status");
    // The unit's capabilities and SYS_CHROOT.
    expect(/^CapBnd:\t(\w+)$/m.exec(status)?.[1]).toBe("00000000000430eb");
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    await want({});
    // The container of the agent under the unit is replaced first.
    await wait("the target state to be reached", async () =>
      (await ask("GET", "/v2/state/status")).text.includes('"appState":"applied"'),
    );
    await wait("the service to run", async () => (await running()).length === 1);
  });

  features("cellar");

  test("redsocks runs as its own user and ends", async () => {
    const proxy = { type: "socks5", ip: "192.0.2.1", port: 1080 };
    expect(await ask("PATCH", "/v1/device/host-config", { network: { proxy } })).toEqual(ok);
    expect(await shell("ps -C redsocks -o user=")).toBe("redsocks");
    expect(await shell("iptables-save -t nat")).toContain("-j DNAT --to-destination 10.114.103.1:12345");
    expect(await ask("PATCH", "/v1/device/host-config", { network: { proxy: null } })).toEqual(ok);
    expect(await shell("ps -C redsocks -o user= || true")).toBe("");
    expect(await shell("iptables-save -t nat")).not.toContain("FAIRLEAD");
  });

  test("logind reboots the machine", async () => {
    const ended = host.ended();
    expect((await ask("POST", "/v1/reboot", {})).status).toBe(202);
    expect(await ended).toBe("rebooted");
  });
});
