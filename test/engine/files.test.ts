import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { agentOnEngine, docker, inspect, target } from "./on-the-engine.ts";

const image = "fairlead-files:1";

const script = `
cat /run/secrets/psk /etc/app.conf
id -u
trap 'exit 0' TERM
while :; do sleep 1 & wait $!; done
`;

describe.skipIf(noDocker !== undefined)("configs and secrets", () => {
  beforeAll(() => makeImage(docker, image, script));

  /** A target state with these contents. */
  const wish = (psk: string, conf: string) => {
    const both = { image, tty: false, configs: [{ source: "conf", target: "/etc/app.conf" }] };
    const strict = { user: "1000:1000", read_only: true, tmpfs: ["/run"] };
    return target(
      {
        web: { ...both, ...strict, secrets: [{ source: "psk", mode: "0440", gid: 1000 }] },
        db: { ...both, secrets: ["other"] },
      },
      { secrets: { psk: { content: psk }, other: { content: "other\n" } }, configs: { conf: { content: conf } } },
    );
  };

  const saidBy = async (id: string | undefined) => {
    const output = () => docker.getContainer(id ?? "").logs({ stdout: true, stderr: true });
    await expect.poll(async () => String(await output()), { timeout: 30_000 }).toContain("1000");
    return String(await output());
  };

  test("reach a service, also with a read-only root and a tmpfs above, and nothing shows them", async () => {
    const agent = await agentOnEngine();
    await agent.accept(wish("hunter2\n", "listen 80\n"));
    const { web } = await agent.settled();
    expect(await saidBy(web)).toMatch(/hunter2[\s\S]*listen 80[\s\S]*1000/);
    expect(JSON.stringify(await inspect(web))).not.toContain("hunter2");
    expect(agent.said.join("\n")).not.toContain("hunter2");
    // Whoever may set the target state may read it.
    expect(await (await agent.get("/v2/local/target-state")).text()).toContain("hunter2");
    for (const path of ["/v2/state/status", "/v2/applications/state", "/v1/device"])
      expect(await (await agent.get(path)).text()).not.toContain("hunter2");
  });

  test("replace only the service whose content has changed, and are removed with it", async () => {
    const agent = await agentOnEngine();
    const folder = join(agent.folder, "state/files");
    const stored = () => readdirSync(folder).filter((name) => name !== "key");
    await agent.accept(wish("first\n", "conf\n"));
    const before = await agent.settled();
    const files = stored();
    expect(files).toHaveLength(3);
    expect(statSync(folder).mode & 0o777).toBe(0o700);

    await agent.accept(wish("second\n", "conf\n"));
    const after = await agent.settled();
    expect(after["db"]).toBe(before["db"]);
    expect(after["web"]).not.toBe(before["web"]);
    expect(await saidBy(after["web"])).toContain("second");
    expect(stored()).toHaveLength(3);
    expect(stored()).not.toEqual(files);
    expect(agent.said.join("\n")).not.toMatch(/first|second/);

    await agent.accept(target({ db: { image } }));
    await agent.settled();
    expect(stored()).toEqual([]);
  });
});
