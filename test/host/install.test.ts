import { execFile, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { startCloud } from "../support/fake-cloud.ts";
import { noHost, startSystemdHost, type SystemdHost } from "../support/systemd-host.ts";
import { wait } from "../support/wait.ts";

/**
 * install.sh and the packages that `npm run package` makes, on a machine with a real systemd and an engine of its own. The
 * tests depend on each other: each continues with the machine of the previous one.
 */

const root = join(import.meta.dirname, "../..");
const execute = promisify(execFile);
const image = "fairlead-install:1";
const engine = "unix:///run/dbus/docker.sock";
const first = "/opt/first";
const second = "/opt/second";
/** The release address for install.sh, which this test's `curl` serves. */
const releases = "https://releases.example";
const arch = process.arch === "arm64" ? "arm64" : "amd64";

let host: SystemdHost;
let docker: Docker;

beforeAll(async () => {
  if (noHost ?? noDocker) return;
  host = await startSystemdHost({ hostname: "install", withEngine: true });
  // This machine's engine has another path, and systemd would start it through this unit.
  await host.run("rm", "-f", "/run/docker.sock");
  docker = new Docker({ socketPath: host.dockerHost.replace("unix://", "") });
  await makeImage(docker, image);
  const folder = mkdtempSync(join(tmpdir(), "fairlead-install-"));
  try {
    const make = async (where: string, version: string) => {
      const out = join(folder, version);
      const args = ["--quick", "--arch", arch, "--version", version, "--out", out, "--releases", releases];
      await execute(process.execPath, ["--import", "tsx", "packaging/package.ts", ...args], { cwd: root });
      cpSync(out, join(await host.root(), where), { recursive: true });
    };
    await Promise.all([make(first, "0.1.0"), make(second, "0.2.0")]);
  } finally {
    rmSync(folder, { recursive: true });
  }
  // Each start of this machine mounts a new boot id into its /proc; systemd gives the unit another /proc.
  const dropIn = join(await host.root(), "etc/systemd/system/fairlead.service.d");
  mkdirSync(dropIn);
  writeFileSync(
    join(dropIn, "boot-id.conf"),
    "[Service]\nBindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id\n",
  );
}, 400_000);
afterAll(() => host?.remove());

const shell = (script: string) => host.run("sh", "-ec", script);
/** Runs install.sh and returns its output, also if it fails. */
const install = (args: string, environment = `DOCKER_HOST=${engine}`) =>
  shell(`${environment} sh ${first}/install.sh ${args} || echo "ended with $?"`);

async function inNetwork(...args: readonly string[]): Promise<[string, string[]]> {
  const [, pid = ""] = /^\/proc\/(\d+)\//.exec(await host.root()) ?? [];
  return ["nsenter", ["--net", `--target=${pid}`, process.execPath, ...args]];
}

const asking = `
const [method, path, body] = process.argv.slice(1);
const headers = { "content-type": "application/json" };
const answer = await fetch("http://127.0.0.1:48484" + path, { method, headers, ...(body && { body }) });
console.log(answer.status + " " + await answer.text());
`;

const ask = async (...args: readonly string[]) =>
  (await execute(...(await inNetwork("-e", asking, ...args)))).stdout.trim();
const answers = () =>
  wait("the agent to answer", async () => (await ask("GET", "/ping").catch(() => undefined)) === "200 OK");

const isActive = () => shell("systemctl is-active fairlead || true");
const version = () => shell("fairlead --help >/dev/null; cat /usr/lib/fairlead/package.json");

/** The container of the service: its id and its start time. */
async function service() {
  const [one] = await docker.listContainers({ filters: { label: ["io.balena.service-name=one"] } });
  if (!one) return undefined;
  const { Id, State } = await docker.getContainer(one.Id).inspect();
  return { id: Id, startedAt: State.StartedAt };
}

async function runService() {
  const one = { serviceName: "one", imageId: 1, image, environment: {}, labels: {}, volumes: ["data:/data"] };
  const app = { name: "fleet", commit: "c1", releaseId: 1, services: { "1": one }, volumes: { data: {} } };
  const target = { local: { name: "device", config: {}, apps: { "1": app } } };
  expect(await ask("POST", "/v2/local/target-state", JSON.stringify(target))).toMatch(/^200 /);
  await wait("the service to run", async () => (await service()) !== undefined);
}

/** Files with our name, except the drop-in of this test. */
const ourFiles = async () =>
  (await shell("find /etc /usr /var /run /root /tmp -xdev -path /var/lib/docker -prune -o -name '*fairlead*' -print"))
    .split("\n")
    .filter((path) => path && !path.endsWith("fairlead.service.d"))
    .sort();

/** Programs that this machine lacks, for the documented commands. */
async function addPrograms() {
  const scripts = {
    sudo: 'exec "$@"',
    // This curl serves the releases from the folders and passes requests on to the agent.
    curl: `for url; do [ "$before" != -o ] || out=$url; before=$url; done
      case $url in
        ${releases}/latest/download/*) cat ${first}/\${url##*/} ;;
        ${releases}/download/v0.2.0/*) cat ${second}/\${url##*/} ;;
        http://127.0.0.1*) /usr/lib/fairlead/node -e "fetch('$url').then((r) => r.text()).then(console.log)" ;;
        *) exit 22 ;;
      esac >\${out:-/dev/stdout}`,
  };
  for (const [name, script] of Object.entries(scripts))
    writeFileSync(join(await host.root(), "usr/local/bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

describe.skipIf(noHost ?? noDocker)("a machine with systemd and Docker", () => {
  test("install.sh refuses an unsuitable machine and installs nothing", async () => {
    const from = `--from ${first}`;
    expect(await shell(`setpriv --reuid=65534 sh ${first}/install.sh ${from} 2>&1 || true`)).toMatch(
      /^install\.sh needs root\. Run it with sudo/,
    );
    expect(await install(from, "")).toBe(
      "Docker is installed, but does not run: there is no /var/run/docker.sock. Start it: sudo systemctl enable --now docker\nended with 1",
    );
    await shell("chmod a-x /usr/bin/docker /usr/sbin/dockerd");
    expect(await install(from, "")).toMatch(
      /^No container engine was found\. Install one: sudo apt-get install docker\.io/,
    );
    await shell("chmod a+x /usr/bin/docker /usr/sbin/dockerd");
    expect(await install(from, "DOCKER_HOST=unix:///run/none.sock")).toMatch(
      /^No engine answers at unix:\/\/\/run\/none/,
    );
    expect(await install(`${from} --version 9.9.9`)).toMatch(/has no package for this machine of version 9\.9\.9/);
    cpSync(join(root, "install.sh"), join(await host.root(), "opt/install.sh"));
    expect(await shell(`DOCKER_HOST=${engine} sh /opt/install.sh 2>&1 || true`)).toMatch(
      /^This install\.sh does not know where the releases are/,
    );
    expect(await install("--nonsense")).toMatch(/^There is no option --nonsense\.\n\nUsage: install\.sh /);
    await shell(`cp -r ${first} /opt/damaged; for one in /opt/damaged/fairlead*; do echo more >>"$one"; done`);
    expect(await install("--from /opt/damaged")).toMatch(/is damaged: expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}/);
    expect(await shell("ls /usr/bin/fairlead 2>/dev/null || true")).toBe("");
  });

  test("install.sh names the process that uses the port number", async () => {
    // systemd replaces $$ by $.
    const listen = `perl -MIO::Socket::INET -e '$$s = IO::Socket::INET->new(Listen => 1, LocalPort => 48484); sleep 60 while 1'`;
    for (const unit of ["balena-supervisor", "other"]) {
      await shell(`systemd-run --quiet --unit=${unit} ${listen}`);
      await wait("the port to be taken", async () => /taken/.test(await install(`--from ${first} --version 9.9.9`)));
      expect(await install(`--from ${first}`)).toMatch(
        new RegExp(
          `^Port 48484 is taken by process \\d+ \\(perl\\), of ${unit}\\.service\\. Stop it: sudo systemctl disable --now ${unit}\\. Or`,
        ),
      );
      await shell(`systemctl stop ${unit}`);
    }
  });

  test("install.sh installs a running service and prints the next commands", async () => {
    const said = await install(`--from ${first}`);
    expect(said).toContain(`fairlead_0.1.0_${arch}.deb from ${first}\n  engine   ${engine}\n`);
    expect(said).toMatch(
      /\nInstalled: fairlead 0\.1\.0\. .*\n {2}sudo fairlead join <url of the cloud> --key <provision/,
    );
    await answers();
    expect(await isActive()).toBe("active");
    expect(await shell("systemctl is-enabled fairlead")).toBe("enabled");
    expect(await shell("dpkg --audit; dpkg --verify fairlead")).toBe("");
    expect(await shell("stat -c '%a %U' /tmp/balena-supervisor")).toBe("700 root");
    await runService();
  });

  test("after a reboot, agent and service run again", async () => {
    const before = await service();
    const ended = host.ended();
    expect(await ask("POST", "/v1/reboot", "{}")).toMatch(/^202 /);
    expect(await ended).toBe("rebooted");
    await host.start();
    await answers();
    await wait("the service to run", async () => (await service())?.id === before?.id);
  });

  test("an upgrade restarts the agent and changes neither containers nor settings", async () => {
    await shell("echo FAIRLEAD_ALLOW_HOST=device.example.com >>/etc/fairlead.env");
    const before = await service();
    const pid = () => shell("systemctl show --property=MainPID --value fairlead");
    const pidBefore = await pid();
    expect(await shell(`sh ${second}/install.sh --from ${second}`)).toContain("Installed: fairlead 0.2.0.");
    await answers();
    expect(await pid()).not.toBe(pidBefore);
    expect(await version()).toContain('"version":"0.2.0"');
    await wait("nothing to be left to do", async () =>
      (await ask("GET", "/v2/state/status")).includes('"appState":"applied"'),
    );
    expect(await service()).toEqual(before);
    expect(await shell("tail -n 1 /etc/fairlead.env")).toBe("FAIRLEAD_ALLOW_HOST=device.example.com");
    expect(await install(`--from ${first} --version 0.1.0`)).toContain("Installed: fairlead 0.1.0.");
    await answers();
    expect(await service()).toEqual(before);
  });

  test("a stopped agent stays stopped through an upgrade", async () => {
    await shell("systemctl stop fairlead");
    await shell(`sh ${second}/install.sh --from ${second}`);
    expect(await isActive()).toBe("inactive");
    await shell("systemctl start fairlead");
    await answers();
  });

  test("install.sh --uninstall keeps the data that it lists, and each command that it prints works", async () => {
    const before = await docker.listContainers({ all: true });
    const said = await install("--uninstall");
    expect(said).toMatch(/^Fairlead is removed\. This stays, until you remove it:\n/);
    expect(await isActive()).toBe("inactive");
    expect(await shell("iptables-save; ip6tables-save")).not.toMatch(/FAIRLEAD/);
    expect((await docker.listContainers({ all: true })).length).toBe(before.length);
    const dpkgKnows = ["/var/lib/dpkg/info/fairlead.list", "/var/lib/dpkg/info/fairlead.postrm"];
    expect(await ourFiles()).toEqual(["/etc/fairlead.env", ...dpkgKnows, "/var/lib/fairlead"]);

    const lines = [...said.matchAll(/^ {2}(state, settings|containers|networks|volumes) +(.*)$/gm)];
    expect(lines).toHaveLength(4);
    for (const [, , line = ""] of lines) await shell(`export DOCKER_HOST=${engine}; ${line.replaceAll("sudo ", "")}`);
    expect(await docker.listContainers({ all: true })).toEqual([]);
    const { Volumes } = await docker.listVolumes();
    expect(Volumes).toEqual([]);
    expect(await ourFiles()).toEqual([]);
    expect(await install("--uninstall")).toMatch(/^Fairlead is not installed here/);
  });

  test("without dpkg, the tarball is installed, upgraded and removed in the same way", async () => {
    await shell("mv /usr/bin/dpkg /usr/bin/dpkg.away");
    expect(await install(`--from ${first}`)).toContain(`fairlead-0.1.0-linux-${arch}.tar.gz`);
    await answers();
    await runService();
    const before = await service();
    await shell("echo FAIRLEAD_ALLOW_HOST=device.example.com >>/etc/fairlead.env");
    await shell("echo usr/lib/fairlead/of-old >>/usr/lib/fairlead/files; touch /usr/lib/fairlead/of-old");
    expect(await shell(`sh ${second}/install.sh --from ${second}`)).toContain("Installed: fairlead 0.2.0.");
    await answers();
    expect(await service()).toEqual(before);
    expect(await shell("tail -n 1 /etc/fairlead.env")).toBe("FAIRLEAD_ALLOW_HOST=device.example.com");
    expect(await shell("ls /usr/lib/fairlead")).not.toContain("of-old");
    const said = await install("--uninstall");
    expect(said).toContain("sudo rm -rf /var/lib/fairlead /etc/fairlead.env");
    expect(await ourFiles()).toEqual(["/etc/fairlead.env", "/var/lib/fairlead"]);
    expect((await service())?.id).toBe(before?.id);
    await shell("mv /usr/bin/dpkg.away /usr/bin/dpkg");
  });

  test("the device joins a fleet with the command that install.sh prints", async () => {
    const cloud = await startCloud();
    const socket = join(mkdtempSync(join(tmpdir(), "fairlead-cloud-")), "socket");
    const server = createServer((near) => {
      const far = connect(Number(new URL(cloud.url).port), "127.0.0.1");
      near.pipe(far).pipe(near);
      for (const one of [near, far]) one.once("error", () => (near.destroy(), far.destroy()));
    }).listen(socket);
    const forward = spawn(
      ...(await inNetwork(
        "--import",
        import.meta.resolve("tsx"),
        join(root, "test/boards/forward.ts"),
        `8787=${socket}`,
      )),
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    onTestFinished(() => (forward.kill("SIGKILL"), void server.close()));
    for await (const bytes of forward.stdout) if (/leads 8787/.test(String(bytes))) break;

    const line = (await install(`--from ${first}`)).split("\n").at(-1) ?? "";
    const typed = line
      .replaceAll("sudo ", "")
      .replace("<url of the cloud>", "http://127.0.0.1:8787")
      .replace("<provisioning key>", "'<provisioning-key>' --fleet 1");
    expect(await shell(typed)).toContain("Joined http://127.0.0.1:8787 as device ");
    await wait("the device to ask for its target state", async () =>
      [...cloud.devices.values()].some(({ askedAt }) => askedAt !== undefined),
    );
    await answers();
  });

  test("the commands of docs/backup.md save the state and restore it after its loss", async () => {
    await addPrograms();
    const text = readFileSync(join(root, "docs/backup.md"), "utf8");
    const lines = [...text.matchAll(/^ {4,}(sudo (?:systemctl|tar) .+)$/gm)].map(([, line]) => line ?? "");
    expect(lines).toHaveLength(5);
    const config = () => shell("cat /var/lib/fairlead/config.json");
    const before = await config();
    for (const line of lines.slice(0, 3)) await shell(`cd /root; ${line}`);
    await answers();
    await shell("systemctl stop fairlead; rm -r /var/lib/fairlead /etc/fairlead.env");
    for (const line of lines.slice(3)) await shell(`cd /root; ${line}`);
    await answers();
    expect(await config()).toBe(before);
    await shell("rm /root/board.tar.gz");
  });

  test("the commands of docs/install.md work in their order", async () => {
    await addPrograms();
    // test/engine/image.test.ts runs the container.
    const [page = ""] = readFileSync(join(root, "docs/install.md"), "utf8").split("## In a container");
    const text = page.replaceAll("<releases>", releases);
    const lines = [...text.matchAll(/^ {4}(.+)$/gm)].map(([, line]) => line ?? "");
    expect(lines.length).toBeGreaterThan(7);
    let said = "";
    // The test above has run the join command.
    for (const line of lines.filter((one) => !one.includes("fairlead join"))) {
      said = await shell(`cd ${first}; export SYSTEMD_PAGER=cat; ${line}`);
      if (line.includes("/ping")) expect(said).toBe("OK");
      if (line.includes("--version")) expect(said).toContain("Installed: fairlead 0.2.0.");
      if (!line.includes("--uninstall")) await answers();
    }
    expect(said).toMatch(/^Fairlead is removed/);
  });
});
