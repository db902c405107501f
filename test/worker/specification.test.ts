import { expect, onTestFinished, test } from "vitest";
import { app } from "../support/device.ts";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { startCloud } from "./cloud.ts";
import { connected } from "./devices.ts";
import { newDevice, newFleet, newToken, newUuid } from "./people.ts";

const cloud = startCloud();

/** Every example "Remotely via the API proxy" of the specification: its path, its body and its answer. */
const examples = (appId: number): readonly [path: string, body: string, status: number, answer: unknown][] => [
  ["/ping", '{"uuid": <uuid>, "method": "GET"}', 200, "OK"],
  ["/v1/blink", '{"uuid": <uuid>}', 200, ""],
  ["/v1/update", '{"uuid": <uuid>, "data": {"force": true}}', 204, ""],
  ["/v1/purge", '{"uuid": <uuid>, "data": {"appId": <appId>}}', 200, { Data: "OK", Error: "" }],
  ["/v1/restart", '{"uuid": <uuid>, "data": {"appId": <appId>}}', 200, "OK"],
  ["/v1/regenerate-api-key", '{"uuid": <uuid>}', 200, expect.stringMatching(/^[0-9a-f]{32,}$/)],
  ["/v1/device", '{"uuid": <uuid>, "method": "GET"}', 200, expect.objectContaining({ api_port: 48484, commit: "c1" })],
  ["/v1/apps/<appId>/stop", '{"uuid": <uuid>}', 200, { containerId: expect.stringMatching(/^\w+$/) }],
  ["/v1/apps/<appId>/start", '{"uuid": <uuid>}', 200, { containerId: expect.stringMatching(/^\w+$/) }],
  ["/v1/apps/<appId>", '{"uuid": <uuid>, "method": "GET"}', 200, expect.objectContaining({ appId, commit: "c1" })],
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
    { fleet: expect.objectContaining({ appId, commit: "c1" }) },
  ],
  ["/v1/reboot", '{"uuid": <uuid>}', 202, { Data: "OK", Error: "" }],
  ["/v1/shutdown", '{"uuid": <uuid>}', 202, { Data: "OK", Error: "" }],
];

/** The specification says: "in any of those you can replace uuid for a deviceId or appId". */
test.each(["uuid", "deviceId", "appId"] as const)("every example works through the proxy, by %s", async (selector) => {
  const fleet = await newFleet(cloud, `of ${selector}`);
  const { token } = await newToken(cloud, { fleets: [fleet.id], write: true, manage: true });
  const uuid = newUuid();
  const { id: deviceId, api_key: key } = await newDevice(cloud, fleet, { uuid });
  const agent = await createMemoryDevice({ identity: { uuid } });
  onTestFinished(() => agent.stop());
  const { fetch, log } = agent;
  const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch, clock: systemClock, log });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  const target = { local: { name: "local", config: {}, apps: { [fleet.id]: app({ main: {} }) } } };
  const set = await cloud.ask("POST", "/supervisor/v2/local/target-state", { uuid, data: target }, token);
  expect(set.json).toEqual({ status: "success", message: "OK" });
  await agent.settled();

  const appId = fleet.id;
  const named = `"${selector}": ${JSON.stringify({ uuid, deviceId, appId }[selector])}`;
  for (const [path, example, status, expected] of examples(appId)) {
    const body = example.replace(/"uuid": "?<uuid>"?/, named).replace("<appId>", String(appId));
    const answer = await cloud.ask(
      "POST",
      `/supervisor${path.replace("<appId>", String(appId))}`,
      JSON.parse(body),
      token,
    );
    expect([path, answer.status, answer.json ?? answer.text]).toEqual([path, status, expected]);
    await agent.settled();
  }
});
