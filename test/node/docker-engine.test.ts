import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { DockerEngine } from "../../runtimes/node/engine/docker-engine.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** An engine that answers every pull with this error, at once or while it pulls. */
async function engineThatSays(message: string, at: "at once" | "while it pulls"): Promise<DockerEngine> {
  const server = createServer(({ url = "" }, response) => {
    if (url.includes("/version")) return void response.end('{"Version":"20.10"}');
    response.statusCode = at === "at once" ? 500 : 200;
    response.end(JSON.stringify(at === "at once" ? { message } : { error: message, errorDetail: { message } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return DockerEngine.connect(systemClock, `tcp://127.0.0.1:${port}`);
}

test("the address of the engine is not left in the environment of the agent's programs", async () => {
  vi.stubEnv("DOCKER_HOST", "unix:///of/the/user.sock");
  onTestFinished(() => void vi.unstubAllEnvs());
  expect((await engineThatSays("", "at once")).name).toBe("Docker 20.10");
  expect(process.env["DOCKER_HOST"]).toBe("unix:///of/the/user.sock");
});

test.each(["at once", "while it pulls"] as const)(
  "a registry's refusal is reported without the password that it received, %s",
  async (at) => {
    const folder = await temporaryFolder();
    const auth = Buffer.from("user:correct horse").toString("base64");
    await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { "registry.example": { auth } } }));
    vi.stubEnv("DOCKER_CONFIG", folder);
    onTestFinished(() => void vi.unstubAllEnvs());
    const engine = await engineThatSays("registry.example: correct horse is wrong for user", at);
    const pull = engine.pull({ name: "registry.example/app:1" }, () => undefined, new AbortController().signal);
    await expect(pull).rejects.toThrow("registry.example: (hidden) is wrong for user");
  },
);
