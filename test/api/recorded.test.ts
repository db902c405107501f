import { expect, test } from "vitest";
import * as z from "zod";
import type { Container } from "../../core/model/container.ts";
import type { TestDevice } from "../support/device.ts";
import { readLogs } from "./log-reader.ts";
import { cloudApp } from "./managed.ts";
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

/** Every recorded exchange, replayed on our agent in the same order and state. */

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
    if ("name" in entry) await device.cue(entry.name);

    if ("note" in entry) {
      for (const [label, what] of Object.entries(entry.note)) {
        if (label === "inspect.Mounts+Binds") {
          // A container's binds, then its mounts, which contain the same in the engine's form.
          const [[theirs] = []] = Binds.parse(what);
          comparison.compare(label, asJson(bindsOf(await device.container("one"))), asJson(theirs?.toSorted()));
          continue;
        }
        if (label in notReplayed) {
          noted.add(label);
          continue;
        }
        const containers = ContainerList.parse(what);
        const ours = (await device.engine.look()).containers.map(({ id, name, spec, state }) => ({
          id,
          name,
          image: spec.image,
          state,
        }));
        comparison.compare(label, asJson(named(JSON.stringify(ours))), asJson(namedThere(JSON.stringify(containers))));
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

/** Notes that do not apply to our agent. */
const notReplayed: Readonly<Record<string, string>> = {
  "SUPERVISOR PROCESS DIED / API STOPPED after": "the original died of what ours refuses; the answer before has it",
  "systemd calls": "what the recording machine was asked over a whole day, in part for other recordings",
  "config.json": "the file with which the recorded device was started",
};
const noted = new Set<string>();

const Binds = z.array(z.tuple([z.array(z.string()), z.array(z.unknown())]));
const bindsOf = ({ spec }: Container): string[] =>
  spec.mounts.flatMap(({ type, source, target }) => (type === "bind" ? [`${source}:${target}`] : [])).sort();

const asJson = (body: unknown): Compared => ({ status: 200, type: jsonType, body });

/** Replaces the recorded keys by the device's keys. */
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
  // A GET Request cannot have a body.
  const carries = body !== undefined && method !== "GET";
  // Bytes, because a string would add a content-type.
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

test("the cloud's answers and the images arrive at the recorded entries", async () => {
  const apps = { aaaa: cloudApp(1, "fleet", { web: {} }) };
  const from = { "new target": { apps, tags: { loc: "lab" } }, "image has come": { images: ["web:latest"] } };
  const device = await recordedDevice({ cloud: { first: {}, from } }, { journal: "", vpnIsUp: false });
  const key = device.supervisor.keys.global();
  const services = async () => Object(await device.get(`/v2/applications/state?apikey=${key}`)).json;
  expect(await services()).toEqual({});
  await device.cue("nothing is said from here on");
  expect(await services()).toEqual({});
  await device.cue("new target");
  expect(await services()).toMatchObject({ fleet: { services: { web: { status: "Downloading" } } } });
  expect((await device.get(`/v2/device/tags?apikey=${key}`)).json).toMatchObject({ tags: [{ name: "loc" }] });
  await device.cue("image has come");
  await device.settled();
  expect(await services()).toMatchObject({ fleet: { services: { web: { status: "Running" } } } });
});

test("each reason not to replay an exchange has a note", () => {
  expect([...noted].sort()).toEqual(Object.keys(notReplayed).sort());
});

test("every recording is replayed, here or in recorded-wire.test.ts", () => {
  expect(recordings.toSorted()).toEqual([...Object.keys(scenes), "http-headers"].sort());
});

test.each(rules)("the rule that $because is used", (rule) => {
  const answers = Object.keys(scenes)
    .flatMap(readRecording)
    .flatMap((entry) => ("response" in entry && entry.response ? [{ ...entry.request, ...entry.response }] : []));
  const changed = answers.filter(({ status, headers, body, path }) => {
    const recorded = { status, type: headers["content-type"] ?? null, body };
    return rule.applies(recorded, path);
  });
  expect(changed).not.toEqual([]);
});
