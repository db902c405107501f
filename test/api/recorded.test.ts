import { expect, test } from "vitest";
import type { TestDevice } from "../support/device.ts";
import { readLogs } from "./log-reader.ts";
import { recordedDevice, scenes, type Scene } from "./recorded-device.ts";
import {
  ContainerList,
  byVoice,
  createComparison,
  createNormaliser,
  expand,
  jsonType,
  parseJson,
  readRecording,
  recordings,
  ruled,
  rules,
  type Compared,
  type Exchange,
} from "./recording.ts";

/** Every recorded exchange, asked of ours in the same order and state. */

test.each(Object.entries(scenes))("%s", async (scenario, scene) => {
  const host = { journal: "", vpnIsUp: false };
  const device = await recordedDevice(scene, host);
  const comparison = createComparison(scenario);
  const [named, namedThere] = [createNormaliser(), createNormaliser()];

  for (const entry of readRecording(scenario)) {
    if ("raw_request" in entry) throw new Error("This is for the wire");
    const moment = "name" in entry ? scene.busy?.[entry.name] : undefined;
    if (moment === "at work") await device.supervisor.loop.look();
    if (moment === undefined) await device.settled();

    if ("note" in entry) {
      for (const [label, what] of Object.entries(entry.note)) {
        const containers = ContainerList.safeParse(what);
        // The others say that the original died, or show one container in the engine's words.
        if (!containers.success) continue;
        const ours = (await device.engine.look()).containers.map(({ id, name, spec, state }) => ({
          id,
          name,
          image: spec.image,
          state,
        }));
        comparison.compare(
          label,
          asJson(named(JSON.stringify(ours))),
          asJson(namedThere(JSON.stringify(containers.data))),
        );
      }
      continue;
    }

    const { name, response, request } = withKeys(entry, device);
    host.journal = response?.body ?? "";
    host.vpnIsUp = name.includes("vpn_status/active");
    if (request.path === "/v2/local/logs" && response?.status === 200) {
      const theirs = { status: 200, type: null, body: byVoice(response.body.trim().split("\n").map(parseJson)) };
      comparison.compare(name, await readLog(device, request, scene.during), ruled(theirs, request.path));
      continue;
    }
    const ours = await ask(device, request);
    const theirs = response && {
      status: response.status,
      type: response.headers["content-type"] ?? null,
      body: namedThere(response.body),
    };
    comparison.compare(name, { ...ours, body: named(ours.body) }, theirs && ruled(theirs, request.path));
  }
  comparison.end();
});

const asJson = (body: unknown): Compared => ({ status: 200, type: jsonType, body });

/** The device's keys in the place of the recorded ones. */
function withKeys(entry: Exchange, { supervisor: { keys } }: TestDevice): Exchange {
  const fill = (text: string) =>
    text.replaceAll("<GLOBAL>", keys.global()).replaceAll("<GLOBAL UPPERCASE>", keys.global().toUpperCase());
  const { path, headers, body, method } = entry.request;
  const request = {
    method,
    path: fill(path),
    headers: Object.fromEntries(Object.entries(headers).map(([header, value]) => [header, fill(value)])),
    ...(body !== undefined && { body: expand(fill(body)) }),
  };
  return { ...entry, request };
}

async function ask(device: TestDevice, { method, path, headers, body }: Exchange["request"]) {
  // A Request of GET cannot carry a body at all.
  const carries = body !== undefined && method !== "GET";
  // Bytes, since a text would bring a content-type of its own.
  const answer = await device.send(method, path, { headers, ...(carries && { body: new TextEncoder().encode(body) }) });
  return { status: answer.status, type: answer.headers.get("content-type"), body: answer.text };
}

async function readLog(
  device: TestDevice,
  { headers }: Exchange["request"],
  { act, until }: NonNullable<Scene["during"]> = { act: () => Promise.resolve(), until: "Streaming logs" },
): Promise<Compared> {
  const logs = await readLogs(device, headers);
  await act(device);
  const body = byVoice(await logs.until(until));
  await logs.leave();
  return { status: logs.response.status, type: logs.response.headers.get("content-type"), body };
}

test("every recording is replayed, here or on the wire", () => {
  expect(recordings.toSorted()).toEqual([...Object.keys(scenes), "http-headers"].sort());
});

test.each(rules)("there is a use for the rule that $because", (rule) => {
  const answers = Object.keys(scenes)
    .flatMap(readRecording)
    .flatMap((entry) => ("response" in entry && entry.response ? [{ ...entry.request, ...entry.response }] : []));
  const changed = answers.filter(({ status, headers, body, path }) => {
    const recorded = { status, type: headers["content-type"] ?? null, body };
    return rule.applies(recorded, path);
  });
  expect(changed).not.toEqual([]);
});
