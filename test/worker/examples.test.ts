import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import * as z from "zod";
import { endpoints as adminEndpoints } from "../../core/api/admin/index.ts";
import { endpoints as cloudEndpoints } from "../../core/api/cloud/index.ts";
import { adminExamples, cloudExamples } from "../../core/api/examples/cloud.ts";
import type { Example } from "../../core/api/openapi.ts";
import { fillPath } from "../../core/api/path.ts";
import { adminSecret, startCloud } from "./cloud.ts";

/** The examples of the cloud's OpenAPI document, each asked of a real Worker. Their answers are written beside them. */

const cloud = startCloud();

type AdminName = keyof typeof adminEndpoints;
type CloudName = keyof typeof cloudEndpoints;

/** In an order in which each finds what it needs. The only one without an answer is a stream. */
const first: readonly AdminName[] = [
  "createFleet",
  "fleets",
  "changeFleet",
  "createProvisioningKey",
  "provisioningKeys",
];
const ofDevices: readonly CloudName[] = ["deviceState", "deviceStateV2", "fleetState", "report", "setTags"];
const then: readonly AdminName[] = [
  ...(["createRelease", "releases", "release", "releaseProgress"] as const),
  ...(["setFleetVariables", "fleetVariables", "deleteFleetVariable"] as const),
  ...(["setDeviceVariables", "deviceVariables", "deleteDeviceVariable"] as const),
  ...(["devices", "device", "deviceStatus", "changeDevice", "fleetSummary", "fleetMetrics"] as const),
  ...([
    "commands",
    "command",
    "cancelCommand",
    "createToken",
    "tokens",
    "revokeToken",
    "whoami",
    "createSession",
  ] as const),
  ...(["createWebhook", "webhooks", "changeWebhook", "deleteWebhook"] as const),
  ...(["replaceDeviceKey", "deleteProvisioningKey", "deleteDevice", "deleteFleet"] as const),
];

/** Parameters that only the answer to an earlier request tells. */
const made = new Map<string, unknown>();
const noted: Readonly<Partial<Record<AdminName, string>>> = { createToken: "tokenId", createWebhook: "webhookId" };

type Answered = NonNullable<Example["answer"]>;

async function ask(
  { method, path }: { readonly method: string; readonly path: string },
  { params = {}, body }: Example,
  key: string,
  idOf?: string,
): Promise<Answered> {
  const given = Object.fromEntries(Object.entries(params).map(([name, value]) => [name, made.get(name) ?? value]));
  const { status, headers, text, json } = await cloud.ask(method, fillPath(path, given), body, key);
  expect([method, path, status, text]).toEqual([method, path, expect.toBeOneOf([200, 201, 202, 204]), text]);
  if (idOf !== undefined) made.set(idOf, z.object({ id: z.string() }).parse(json).id);
  const type = headers.get("content-type")?.split(";")[0];
  const hasBody = type !== undefined && text !== "";
  return { status, ...(hasBody && { type, body: json === undefined ? steady(text) : JSON.parse(steady(text)) }) };
}

/** What differs from run to run. */
const steady = (text: string): string =>
  text
    .replace(/\d{4}-\d\d-\d\d[T ][\d:.]+Z?/g, "2026-11-23T20:00:00.000Z")
    .replace(/("delivered":|result="done"\} )\d+/g, "$120")
    .replace(/"(token|key|api_key|secret)":"[^"]+"/g, '"$1":"…"')
    .replace(/\b[0-9a-f]{32}\b/g, (id) => (id === uuid ? id : "8a41…"))
    .replace(/\b([0-9a-f]{16}|[0-9a-f]{8}-[0-9a-f-]{27})\b/g, "8a41…");

const uuid = "0123456789abcdef0123456789abcdef";

test("each example of the cloud has the answer of a real one", async () => {
  const admin: Partial<Record<AdminName, Answered>> = {};
  const devices: Partial<Record<CloudName, Answered>> = {};
  const administer = async (names: readonly AdminName[]) => {
    for (const name of names)
      admin[name] = await ask(adminEndpoints[name], adminExamples[name], adminSecret, noted[name]);
  };
  await administer(first);
  const { key } = await cloud.make(z.object({ key: z.string() }), "/admin/v1/fleets/1/provisioning-keys");
  const composition = { services: { web: { image: "nginx:1" } } };
  await cloud.make(z.unknown(), "/admin/v1/fleets/1/releases", { commit: "e607cafd5e0e", composition });
  devices.register = await ask(cloudEndpoints.register, cloudExamples.register, key);
  const { key: deviceKey } = await cloud.make(z.object({ key: z.string() }), `/admin/v1/devices/${uuid}/key`);
  const [fleet] = await cloud.get(z.array(z.object({ uuid: z.string() })), "/admin/v1/fleets");
  made.set("fleetUuid", fleet?.uuid);
  for (const name of ofDevices) devices[name] = await ask(cloudEndpoints[name], cloudExamples[name], deviceKey);
  const queued = await fetch(`${cloud.url()}/supervisor/v1/blink`, {
    method: "POST",
    headers: {
      ...{ authorization: `Bearer ${adminSecret}`, "content-type": "application/json", prefer: "respond-async" },
    },
    body: JSON.stringify({ uuid, expires: 600 }),
  });
  made.set("commandId", z.object({ id: z.string() }).parse(await queued.json()).id);
  await administer(then);

  const file = join(import.meta.dirname, "../../core/api/examples/cloud-answers.ts");
  const text = `// Generated by test/worker/examples.test.ts.
    import type { endpoints as adminEndpoints } from "../admin/index.ts";
    import type { endpoints as cloudEndpoints } from "../cloud/index.ts";
    import type { Example } from "../openapi.ts";

    type Answers<Api> = Readonly<Partial<Record<keyof Api, NonNullable<Example["answer"]>>>>;

    export const adminAnswers: Answers<typeof adminEndpoints> = ${JSON.stringify(admin)};

    export const cloudAnswers: Answers<typeof cloudEndpoints> = ${JSON.stringify(devices)};
  `;
  const formatted = await format(text, { ...(await resolveConfig(file)), filepath: file });
  await expect(formatted).toMatchFileSnapshot(file);
});
