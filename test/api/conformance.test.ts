import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import fc from "fast-check";
import { expect, test } from "vitest";
import { endpoints } from "../../core/api/index.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { createContract, requestsOf, type Asked } from "../support/contract.ts";
import { managedDevice } from "./managed.ts";

/**
 * The device answers as its own OpenAPI document says: requests are made from the document, valid and invalid ones, and each
 * answer must have a declared status, a declared media type, and a body that fits. CONTRACT_RUNS=10000 makes more of them.
 */

const runs = Number(process.env["CONTRACT_RUNS"] ?? 300);

const documentOf = async (device: TestDevice): Promise<unknown> => (await device.get("/openapi.json")).json;

async function ask(device: TestDevice, { method, path, headers, body }: Asked): Promise<Response> {
  const left = new AbortController();
  const init = { method, headers, signal: left.signal, ...(body !== undefined && { body }) };
  const response = await device.fetch(new Request(`http://device${path}`, init));
  const type = response.headers.get("content-type") ?? "";
  if (!/ndjson|event-stream/.test(type)) return response;
  await response.body?.cancel();
  return new Response(null, { status: response.status, headers: response.headers });
}

const options = { pullMs: 0, stopMs: 0, ports: { journal: { read: () => new Blob(["a line\n"]).stream() } } };

test(
  "a device in local mode answers what its OpenAPI document declares",
  { timeout: 60_000 + runs * 100 },
  async () => {
    const device = await testDevice(options);
    await device.run({ "1": app({ one: {}, two: {} }), "2": app({ door: {} }, { name: "house" }) });
    const contract = createContract(await documentOf(device), new Ajv2020({ strict: false }), formats.default);
    const seen = new Set<string>();
    // The target state is not to be replaced by one that has no services.
    const wanted = contract.operations.filter(({ operationId }) => operationId !== "setTargetState");
    await fc.assert(
      fc.asyncProperty(requestsOf(wanted), async (asked) => {
        const answer = await ask(device, asked);
        await contract.check(asked.operation, answer);
        seen.add(asked.operation.operationId);
      }),
      { numRuns: runs },
    );
    if (runs >= 3000) expect([...seen].sort()).toEqual(wanted.map(({ operationId }) => operationId).sort());
    expect(contract.operations.map(({ operationId }) => operationId).sort()).toEqual(Object.keys(endpoints).sort());
  },
);

test("a device that wants a key declares how it refuses", { timeout: 60_000 + runs * 20 }, async () => {
  const device = await managedDevice(options);
  const document = (await device.get("/openapi.json", device.globalKey())).json;
  const contract = createContract(document, new Ajv2020({ strict: false }), formats.default);
  await fc.assert(
    fc.asyncProperty(requestsOf(contract.operations), async (asked) => {
      const answer = await ask(device, asked);
      if (asked.operation.isOpen) return;
      expect(answer.status).toBe(401);
      await contract.check(asked.operation, answer);
    }),
    { numRuns: runs },
  );
});
