import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { openExec, readFrames, type SendExec } from "../support/exec.ts";
import { agentOnEngine, docker, pause, target } from "./on-the-engine.ts";

describe.skipIf(noDocker !== undefined)("a program in a real container, over the agent's port", () => {
  beforeAll(() => makeImage(docker, "exec:1"));

  const inWeb = async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ web: { image: "exec:1" } }));
    const { web = "" } = await agent.settled();
    const send: SendExec = (method, path, body) =>
      fetch(agent.url + path, {
        method,
        headers: { "content-type": "application/json" },
        ...(body && { body: JSON.stringify(body) }),
      });
    return { agent, web, send, open: (body: object) => openExec(send, body) };
  };

  test("a shell has the terminal's size, and its exit code is the session's", async () => {
    const { open } = await inWeb();
    const session = await open({ tty: true, columns: 93, rows: 31, environment: { GREETING: "hi there" } });
    const output = await session.read();
    await session.type('busybox stty size; echo "<$GREETING>"\r', { sequence: 1 });
    await output.until("<hi there>");
    expect(output.text.stdout).toContain("31 93");
    await session.type("exit 7\r", { sequence: 2 });
    expect(await output.toEnd()).toEqual({ exitCode: 7 });
  });

  test("ten megabytes come through a slow reader unharmed", async () => {
    const { send, open } = await inWeb();
    const session = await open({
      command: ["sh", "-c", "i=0; while [ $i -lt 10240 ]; do i=$((i+1)); printf '%1023d\\n' $i; done"],
    });
    const response = await send("GET", `/v3/exec/${session.id}/output`);
    await pause(1500);
    const output = readFrames(response);
    expect(await output.toEnd()).toEqual({ exitCode: 0 });
    const lines = output.text.stdout.split("\n");
    expect(lines.length).toBe(10_241);
    expect(lines.slice(0, -1).every((line, n) => line.length === 1023 && Number(line) === n + 1)).toBe(true);
  });

  test("bytes of every value, in pieces, come back as they were sent", async () => {
    const { open } = await inWeb();
    const session = await open({ command: ["cat"] });
    const output = await session.read();
    const all = String.fromCharCode(...Array.from({ length: 256 }, (_, n) => n)).repeat(120);
    for (let sequence = 1; sequence <= 10; sequence++) expect(await session.type(all, { sequence })).toBe(204);
    await session.type("", { sequence: 11, end: true });
    expect(await output.toEnd()).toEqual({ exitCode: 0 });
    expect(output.text.stdout === all.repeat(10)).toBe(true);
  });

  test("a session that is ended leaves no process, and one whose container goes says so", async () => {
    const { agent, web, open } = await inWeb();
    const processes = async () => JSON.stringify((await docker.getContainer(web).top()).Processes);
    const session = await open({ tty: true });
    await session.type("sleep 4711\r");
    await expect.poll(processes, { timeout: 10_000 }).toContain("sleep 4711");
    expect((await session.end()).status).toBe(204);
    await expect.poll(processes, { timeout: 10_000 }).not.toContain("sleep 4711");

    const output = await (await open({ command: ["sleep", "1000"] })).read();
    const [last] = await Promise.all([output.toEnd(), agent.post("/v2/applications/1/restart", {})]);
    expect(last).toHaveProperty("exitCode");
  });

  test("the stop of the agent ends its sessions", async () => {
    const { agent, web, open } = await inWeb();
    const processes = async () => JSON.stringify((await docker.getContainer(web).top()).Processes);
    await open({ command: ["sleep", "4712"] });
    await expect.poll(processes, { timeout: 10_000 }).toContain("sleep 4712");
    await agent.stop();
    await expect.poll(processes, { timeout: 10_000 }).not.toContain("sleep 4712");
  });
});
