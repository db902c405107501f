import { expect, test } from "vitest";
import { app } from "../support/device.ts";
import { joinAgent, startRelay } from "./devices.ts";

const cloud = startRelay();

/** Every example "Remotely via the API proxy" of the specification: its path, its body, and what it says of the answer. */
const examples: readonly [path: string, body: string, status: number, answer: unknown][] = [
  ["/ping", '{"uuid": <uuid>, "method": "GET"}', 200, "OK"],
  ["/v1/blink", '{"uuid": <uuid>}', 200, ""],
  ["/v1/update", '{"uuid": <uuid>, "data": {"force": true}}', 204, ""],
  ["/v1/purge", '{"uuid": <uuid>, "data": {"appId": <appId>}}', 200, { Data: "OK", Error: "" }],
  ["/v1/restart", '{"uuid": <uuid>, "data": {"appId": <appId>}}', 200, "OK"],
  ["/v1/regenerate-api-key", '{"uuid": <uuid>}', 200, expect.stringMatching(/^[0-9a-f]{32,}$/)],
  ["/v1/device", '{"uuid": <uuid>, "method": "GET"}', 200, expect.objectContaining({ api_port: 48484, commit: "c1" })],
  ["/v1/apps/<appId>/stop", '{"uuid": <uuid>}', 200, { containerId: expect.stringMatching(/^\w+$/) }],
  ["/v1/apps/<appId>/start", '{"uuid": <uuid>}', 200, { containerId: expect.stringMatching(/^\w+$/) }],
  ["/v1/apps/<appId>", '{"uuid": <uuid>, "method": "GET"}', 200, expect.objectContaining({ appId: 1, commit: "c1" })],
  ["/v1/healthy", '{"uuid": <uuid>, "method": "GET"}', 200, ""],
  [
    "/v1/device/host-config",
    '{"uuid": <uuid>, "method": "PATCH", "data": {"network": {"hostname": "newhostname"}}}',
    200,
    "OK",
  ],
  [
    "/v1/device/host-config",
    '{"uuid": <uuid>, "method": "GET"}',
    200,
    { network: expect.objectContaining({ hostname: "newhostname" }) },
  ],
  [
    "/v2/applications/state",
    '{"uuid": "<uuid>", "method": "GET"}',
    200,
    { fleet: expect.objectContaining({ appId: 1, commit: "c1" }) },
  ],
  ["/v1/reboot", '{"uuid": <uuid>}', 202, { Data: "OK", Error: "" }],
  ["/v1/shutdown", '{"uuid": <uuid>}', 202, { Data: "OK", Error: "" }],
];

test("every example of the specification works through the proxy", async () => {
  const { agent, uuid } = await joinAgent(cloud);
  const answer = await agent.fetch(
    new Request("http://device/v2/local/target-state", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ local: { name: "local", config: {}, apps: { "1": app({ main: {} }) } } }),
    }),
  );
  expect(answer.status).toBe(200);
  await agent.settled();
  for (const [path, example, status, expected] of examples) {
    const body = example.replace(/"?<uuid>"?/, `"${uuid}"`).replace("<appId>", "1");
    const response = await cloud.relay(path.replace("<appId>", "1"), JSON.parse(body));
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    expect([path, response.status, isJson ? JSON.parse(text) : text]).toEqual([path, status, expected]);
    await agent.settled();
  }
});
