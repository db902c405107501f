import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createContract, requestsOf } from "../support/contract.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken } from "./people.ts";

/**
 * The Worker answers as its own OpenAPI document says: requests are made from the document, valid and invalid ones, with
 * several credentials. CONTRACT_RUNS=10000 makes more of them.
 */

const cloud = startCloud();
const runs = Number(process.env["CONTRACT_RUNS"] ?? 300);

test("the Worker answers what its OpenAPI document declares", { timeout: 60_000 + runs * 200 }, async () => {
  const { json } = await cloud.ask("GET", "/openapi.json", undefined, null);
  const contract = createContract(json, new Ajv2020({ strict: false }), formats.default);
  const fleet = await newFleet(cloud, "conformance");
  const { api_key: deviceKey } = await newDevice(cloud, fleet);
  const { token } = await newToken(cloud, { manage: true });
  const key = fc.oneof(
    { weight: 8, arbitrary: fc.constant(adminSecret) },
    { weight: 2, arbitrary: fc.constantFrom(token, deviceKey, undefined) },
  );
  // One device's own answer has whatever status the device gives it.
  const wanted = contract.operations.filter(({ operationId }) => operationId !== "supervisorProxy");
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(requestsOf(wanted), key, async ({ operation, method, path, headers, body }, bearer) => {
      const answer = await fetch(cloud.url() + path, {
        method,
        headers: { ...headers, ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }) },
        ...(body !== undefined && { body }),
      });
      await contract.check(operation, answer);
      seen.add(operation.operationId);
    }),
    { numRuns: runs },
  );
  if (runs >= 3000) expect([...seen].sort()).toEqual(wanted.map(({ operationId }) => operationId).sort());
});

test("the pages of the API need no credential, and may be shown in no frame", async () => {
  for (const path of ["/docs", "/docs/errors"]) {
    const { status, headers, text } = await cloud.ask("GET", path, undefined, null);
    expect([status, headers.get("content-type"), headers.get("content-security-policy")]).toEqual([
      ...[200, "text/html; charset=utf-8", "frame-ancestors 'none'"],
    ]);
    expect(text).toContain("default-src 'none'");
  }
});
