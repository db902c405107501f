import { createServer } from "node:http";
import { expect, expectTypeOf, onTestFinished, test } from "vitest";
import type { createSupervisor } from "../../core/index.ts";
import type { EmbeddedAgent } from "../../runtimes/node/agent.ts";
import { toNodeListener } from "../../runtimes/node/listener.ts";

test("a server that embeds the API keeps its own Request and Response", async () => {
  const before = [globalThis.Request, globalThis.Response];
  const server = createServer((request, response) => {
    void toNodeListener(() => Promise.resolve(new Response("fine")))(request, response);
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  expect(await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } })).text()).toBe("fine");
  expect([globalThis.Request, globalThis.Response]).toEqual(before);
  expect(globalThis.Request).toBe(before[0]);
  expect(globalThis.Response).toBe(before[1]);
});

test("a program that embeds the agent gets only what it may use", () => {
  expectTypeOf<keyof EmbeddedAgent["supervisor"]>().toEqualTypeOf<"identity" | "view" | "fetch" | "start" | "stop">();
  expectTypeOf<EmbeddedAgent["supervisor"]>().toEqualTypeOf<Awaited<ReturnType<typeof createSupervisor>>>();
});
