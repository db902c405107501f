import { createServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
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
