import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { journalctl } from "../../hardware/journal.ts";
import { noHost, startSystemdHost, type SystemdHost } from "../support/systemd-host.ts";
import { wait } from "../support/wait.ts";
import { startAgentOn, type AgentOnHost } from "./agent-on-host.ts";

const path = "/v2/journal-logs";
const nothing = { all: false, follow: false, containerId: undefined, since: undefined, until: undefined };
const longId = "0123456789ab" + "c".repeat(52);

/** Five entries of a unit of the test, and one like a container's. */
async function withEntries(host: SystemdHost): Promise<void> {
  await host.run(
    ...["systemd-run", "--wait", "--unit=speaker", "sh", "-c"],
    'for n in 1 2 3 4 5; do echo "line $n"; sleep 0.01; done; printf "colour \\033[31mred\\033[0m\\n"; sleep 1',
  );
  await host.run("sh", "-c", "echo 'from a container' | systemd-cat -t 0123456789ab");
  await host.run("journalctl", "--sync");
}

let host: SystemdHost;
beforeAll(async () => {
  if (noHost) return undefined;
  host = await startSystemdHost();
  await withEntries(host);
  return host.remove;
});

async function start() {
  const agent = await startAgentOn(host);
  const ask = async (body: object) => {
    const { status, text } = await agent.send("POST", path, body);
    return { status, lines: text.split("\n").filter(Boolean) };
  };
  return { agent, ask };
}

const messages = (lines: readonly string[]) => lines.map((line) => line.replace(/^.*?\]: /, ""));

/** Processes here and in nested containers, by a part of their command line. */
const running = (part: string): string[] =>
  readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").includes(part);
    } catch {
      return false;
    }
  });

describe.skipIf(noHost)("POST /v2/journal-logs on a real journal", () => {
  test("supports every option of journalctl in the specification", async () => {
    const { ask } = await start();
    const unit = "speaker.service";

    const five = ["line 1", "line 2", "line 3", "line 4", "line 5"];
    expect(messages((await ask({ unit })).lines)).toEqual(expect.arrayContaining(five));
    expect((await ask({ unit, count: 1 })).lines).toHaveLength(1);
    expect((await ask({ unit, count: "2" })).lines).toHaveLength(2);

    const json = (await ask({ unit, format: "json" })).lines.map((line) => JSON.parse(line).MESSAGE);
    expect(json).toEqual(expect.arrayContaining(five));
    expect((await ask({ unit, format: "cat", count: 100 })).lines).toEqual(expect.arrayContaining(five));

    expect((await ask({ containerId: "0123456789ab", format: "cat" })).lines).toEqual(["from a container"]);
    expect((await ask({ containerId: longId, format: "cat" })).lines).toEqual(["from a container"]);

    expect((await ask({ unit, since: "-1h", until: "now", format: "cat" })).lines).toEqual(
      expect.arrayContaining(five),
    );
    expect((await ask({ unit, since: "2020-01-01", until: "2020-01-02" })).lines).toEqual(["-- No entries --"]);
    expect((await ask({ unit, until: "-1h" })).lines).toEqual(["-- No entries --"]);

    // Without `all`, unprintable text is left out.
    expect((await ask({ unit, all: true })).lines.join()).toContain("colour \u001b[31mred");
    expect((await ask({ unit })).lines.join()).not.toContain("\u001b");

    // The whole output of journalctl.
    expect((await ask({})).lines.length).toBeGreaterThan(50);
    expect(await host.run("journalctl", "--unit=speaker", "--lines=1")).toBe((await ask({ unit, count: 1 })).lines[0]);
  });

  test("can be read by the host's own journalctl", async () => {
    const own = journalctl(["chroot", await host.root(), "journalctl"]);
    const query = { ...nothing, unit: "speaker.service", format: "cat", count: 100 };
    const reading = await own.read(query);
    const text = "refused" in reading ? reading.refused : await new Response(reading).text();
    expect(text.split("\n")).toEqual(expect.arrayContaining(["line 1", "line 5"]));
    expect(await own.read({ ...query, since: "x" })).toEqual({ refused: "Failed to parse timestamp: x" });
  });

  test("passes on journalctl's error", async () => {
    const { ask } = await start();
    const why = async (body: object) => {
      const { status, lines } = await ask(body);
      return [status, JSON.parse(lines.join()).message];
    };
    expect(await why({ since: "the other day" })).toEqual([400, "Failed to parse timestamp: the other day"]);
    expect(await why({ until: "x" })).toEqual([400, "Failed to parse timestamp: x"]);
    expect(await why({ format: "interpretive-dance" })).toEqual([400, "Unknown output format 'interpretive-dance'."]);
    expect((await ask({ unit: "--vacuum-size=1" })).status).toBe(400);
    expect((await ask({ format: "-x" })).status).toBe(400);
  });

  const following = async (agent: AgentOnHost) => {
    const reader = new AbortController();
    const response = await fetch(agent.url + path, {
      method: "POST",
      body: JSON.stringify({ follow: true, unit: "speaker.service", format: "cat" }),
      headers: { "content-type": "application/json" },
      signal: reader.signal,
    });
    let text = "";
    const read = (async () => {
      for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
    })();
    const ended = read.then(
      () => "ended",
      () => "broken off",
    );
    return { reader, ended, text: () => text };
  };
  const follower = "--follow --unit=speaker.service";
  const unfiltered = "/root --output=short";

  test("follows until the reader disconnects, and leaves no process behind", async () => {
    const { agent } = await start();
    const { reader, text } = await following(agent);
    await wait("what was written before", async () => text().includes("line 5\n"));
    expect(running(follower)).toHaveLength(1);
    await host.run("systemctl", "reset-failed");
    await host.run("systemd-run", "--wait", "--unit=speaker", "sh", "-c", "echo and one more; sleep 1");
    await wait("what is written now", async () => text().includes("and one more\n"));
    reader.abort();
    await wait("journalctl to end", async () => running(follower).length === 0);
  });

  test("follows until the agent ends, and leaves no process behind", async () => {
    const { agent } = await start();
    const { ended, text } = await following(agent);
    await wait("what was written before", async () => text().includes("line 5\n"));
    await agent.stop();
    await ended;
    await wait("journalctl to end", async () => running(follower).length === 0);
  });

  test("follows until journalctl ends", async () => {
    const { agent } = await start();
    const { ended, text } = await following(agent);
    await wait("what was written before", async () => text().includes("line 5\n"));
    for (const pid of running(follower)) execFileSync("kill", [pid]);
    expect(await ended).toBe("ended");
  });

  test("is not read faster than its client reads", async () => {
    const { agent } = await start();
    await host.run("sh", "-c", "yes 'a long line of text, many times over' | head -200000 | systemd-cat -t noise");
    await host.run("journalctl", "--sync");
    const reader = new AbortController();
    const response = await fetch(agent.url + path, { method: "POST", signal: reader.signal });
    const first = response.body?.getReader();
    await first?.read();
    const [pid] = running(unfiltered);
    // The bytes written to its pipe: proc_pid_io(5).
    const written = () => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
    const looks: number[] = [];
    await wait("journalctl to wait for its reader", async () => {
      looks.push(written());
      await new Promise((resolve) => setTimeout(resolve, 300));
      return looks.at(-1) === written();
    });
    // The kernel buffers a few megabytes for a connection; the whole output has more than 14.
    expect(written()).toBeLessThan(10_000_000);
    reader.abort();
    await wait("journalctl to end", async () => running(unfiltered).length === 0);
  });
});
