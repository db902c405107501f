import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { busAt } from "../../hardware/bus.ts";
import { logind } from "../../hardware/logind.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { noHost, startSystemdHost, type SystemdHost } from "../support/systemd-host.ts";
import { wait } from "../support/wait.ts";
import { startAgentOn } from "./agent-on-host.ts";

const accepted = { status: 202, text: '{"Data":"OK","Error":""}' };
const refused = (status: number, why: string) => ({ status, text: JSON.stringify({ Data: "", Error: why }) });

const actions = [
  ["/v1/reboot", "rebooted"],
  ["/v1/shutdown", "powered off"],
] as const;

let host: SystemdHost;
beforeAll(async () => {
  if (noHost) return undefined;
  host = await startSystemdHost();
  return host.remove;
});
beforeEach(() => host?.start());

describe.skipIf(noHost)("reboot and shutdown", () => {
  test.each(actions)("by POST %s stop the services and answer before the machine is %s", async (path, how) => {
    const agent = await startAgentOn(host);
    await agent.runService();
    const ended = host.ended();
    expect(await agent.send("POST", path, {})).toEqual(accepted);
    expect(await agent.services()).toEqual(["one exited"]);
    expect(await host.isRunning()).toBe(true);
    expect(await ended).toBe(how);
  });

  test("let the service run again after the reboot, and the machine can reboot again", async () => {
    const stateDir = await temporaryFolder();
    const before = await startAgentOn(host, { stateDir });
    await before.runService();
    const first = host.ended();
    await before.send("POST", "/v1/reboot", {});
    expect(await first).toBe("rebooted");
    await before.stop();

    await host.start();
    const after = await startAgentOn(host, { stateDir });
    await wait("the service to run", async () => (await after.services()).includes("one running"));
    // The agent may not have looked at the engine yet.
    await expect
      .poll(async (): Promise<unknown> => JSON.parse((await after.get("/v2/state/status")).text), { timeout: 20_000 })
      .toMatchObject({ containers: [{ serviceName: "one", status: "Running" }] });
    const second = host.ended();
    expect(await after.send("POST", "/v1/reboot", {})).toEqual(accepted);
    expect(await second).toBe("rebooted");
  });

  test("are refused while a service holds its lock or the OS is being updated, and nothing happens", async () => {
    const agent = await startAgentOn(host);
    const root = await host.root();
    await agent.runService();

    const lock = join(root, "tmp/balena-supervisor/services/1/one/updates.lock");
    writeFileSync(lock, "");
    for (const [path] of actions)
      expect(await agent.send("POST", path, {})).toEqual(
        refused(423, "Lockfile exists for { appId: 1, service: one }"),
      );
    rmSync(lock);

    for (const breadcrumb of ["rollback-health-breadcrumb", "rollback-altboot-breadcrumb"]) {
      const file = join(root, "mnt/state", breadcrumb);
      mkdirSync(join(root, "mnt/state"), { recursive: true });
      writeFileSync(file, "");
      for (const [path] of actions)
        expect(await agent.send("POST", path, {})).toEqual(refused(423, "Waiting for Host OS update to finish"));
      rmSync(file);
    }

    expect(await agent.services()).toEqual(["one running"]);
    await expect(host.run("cat", "/run/systemd/shutdown/scheduled")).rejects.toThrow("No such file");
    expect(await host.isRunning()).toBe(true);
  });

  test("override a lock with force", async () => {
    const agent = await startAgentOn(host);
    await agent.runService();
    writeFileSync(join(await host.root(), "tmp/balena-supervisor/services/1/one/updates.lock"), "");
    const ended = host.ended();
    expect(await agent.send("POST", "/v1/reboot", { force: true })).toEqual(accepted);
    expect(await ended).toBe("rebooted");
  });

  test("report a missing logind and start the services again", async () => {
    const crippled = await startSystemdHost();
    onTestFinished(crippled.remove);
    await crippled.run("systemctl", "mask", "--now", "systemd-logind.service");
    const agent = await startAgentOn(crippled);
    await agent.runService();
    for (const [path] of actions) {
      const answer = await agent.send("POST", path, {});
      expect(answer.status).toBe(500);
      expect(JSON.parse(answer.text)).toEqual({ Data: "", Error: expect.stringMatching(/login1|masked/) });
      await wait("the service to run again", async () => (await agent.services()).includes("one running"));
    }
    expect(await crippled.isRunning()).toBe(true);
  });

  test("report the machine's refusal and start the services again", async () => {
    const strict = await startSystemdHost();
    onTestFinished(strict.remove);
    const logind = "org.freedesktop.login1";
    const call = `send_destination="${logind}" send_interface="${logind}.Manager" send_member="ScheduleShutdown"`;
    const rules = `<busconfig><policy context="mandatory"><deny ${call}/></policy></busconfig>`;
    writeFileSync(join(await strict.root(), "etc/dbus-1/system.d/strict.conf"), rules);
    await strict.run("systemctl", "reload", "dbus");
    const agent = await startAgentOn(strict);
    await agent.runService();
    for (const [path] of actions) {
      const answer = await agent.send("POST", path, {});
      expect(answer.status).toBe(500);
      expect(JSON.parse(answer.text)).toEqual({ Data: "", Error: expect.stringMatching(/^Rejected send message/) });
      await wait("the service to run again", async () => (await agent.services()).includes("one running"));
    }
    expect(await strict.isRunning()).toBe(true);
  });

  test("report a missing bus and start the services again", async () => {
    const busAddress = "unix:path=/nonexistent/bus";
    const agent = await startAgentOn({ root: host.root, busAddress });
    await agent.runService();
    expect(await agent.send("POST", "/v1/reboot", {})).toEqual(
      refused(500, `The system bus at ${busAddress} does not answer: connect ENOENT /nonexistent/bus`),
    );
    await wait("the service to run again", async () => (await agent.services()).includes("one running"));
  });
});

describe.skipIf(noHost)("a service with io.balena.update.requires-reboot", () => {
  test("reboots the machine once it runs and the device has settled", async () => {
    const agent = await startAgentOn(host);
    const ended = host.ended();
    await agent.wantService({ "io.balena.update.requires-reboot": "1" });
    expect(await ended).toBe("rebooted");
    expect(agent.said.filter((line) => /reboot|Started/i.test(line))).toEqual([
      expect.stringMatching(/^A reboot will follow, for service 'one /),
      expect.stringMatching(/^Started service 'one /),
      "Rebooting",
    ]);
  });

  test("waits for a lock", async () => {
    const agent = await startAgentOn(host);
    await agent.runService();
    writeFileSync(join(await host.root(), "tmp/balena-supervisor/services/1/one/updates.lock"), "");
    await logind(busAt(host.busAddress), await host.root(), systemClock).requireReboot();
    await agent.send("POST", "/v1/update", {});
    await wait("the agent to say that it waits", async () =>
      agent.said.includes("Lockfile exists for { appId: 1, service: one }"),
    );
    expect(await agent.services()).toEqual(["one running"]);
    const ended = host.ended();
    rmSync(join(await host.root(), "tmp/balena-supervisor/services/1/one/updates.lock"));
    await agent.send("POST", "/v1/update", {});
    expect(await ended).toBe("rebooted");
  });

  test("is recorded until the machine has rebooted, also if /tmp survives the reboot", async () => {
    const bus = busAt(host.busAddress);
    const power = async () => logind(bus, await host.root(), systemClock);
    expect(await (await power()).rebootRequired()).toBe(false);
    await (await power()).requireReboot();
    expect(await (await power()).rebootRequired()).toBe(true);
    const note = await host.run("cat", "/tmp/balena-supervisor/reboot-after-apply");

    const ended = host.ended();
    await (await power()).goDown("reboot");
    await ended;
    await host.start();
    expect(await (await power()).rebootRequired()).toBe(false);
    await host.run(
      "sh",
      "-c",
      `mkdir -p /tmp/balena-supervisor && echo ${note} >/tmp/balena-supervisor/reboot-after-apply`,
    );
    expect(await (await power()).rebootRequired()).toBe(false);
    bus.close();
  });
});
