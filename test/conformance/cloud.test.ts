import { describe, expect, onTestFinished, test } from "vitest";
import type { Cloud, CloudRequest } from "../../core/ports/cloud.ts";
import { httpCloud } from "../../runtimes/node/cloud/http-cloud.ts";
import { FakeCloud } from "../support/fake-cloud.ts";

/** The promises of `core/ports/cloud.ts`: one cloud, asked over HTTP and without. */

interface Bench {
  readonly ask: Cloud;
  readonly cloud: FakeCloud;
  /** From now on nobody answers. */
  readonly end: () => Promise<void>;
}

const uuid = "0123456789abcdef0123456789abcdef";
const statePath = `/device/v3/${uuid}/state`;
const waiting = new AbortController().signal;

async function overHttp(): Promise<Bench> {
  const cloud = new FakeCloud();
  await cloud.start();
  onTestFinished(() => cloud.stop());
  return { ask: httpCloud(`${cloud.url}/`, "Supervisor/19.0.5"), cloud, end: () => cloud.stop() };
}

async function direct(): Promise<Bench> {
  const cloud = new FakeCloud();
  return { ask: cloud.ask, cloud, end: async () => cloud.setAway(true) };
}

const request = (more: Partial<CloudRequest> = {}): CloudRequest => ({
  method: "GET",
  path: statePath,
  key: "device-key",
  timeoutMs: 20_000,
  ...more,
});

describe.each([
  ["over HTTP", overHttp],
  ["in memory", direct],
])("a cloud %s", (_, create) => {
  const world = async () => {
    const bench = await create();
    return { ...bench, device: bench.cloud.addDevice(uuid, "device-key") };
  };

  test("answers with a status, headers by their lower case names, and a text", async () => {
    const { ask } = await world();
    const answer = await ask(request(), waiting);
    expect(answer.status).toBe(200);
    expect(answer.header("etag")).toMatch(/^W\//);
    expect(answer.header("nothing-of-the-kind")).toBeUndefined();
    expect(JSON.parse(answer.text)).toHaveProperty(uuid);
  });

  test("returns a refusal as an answer", async () => {
    const { ask } = await world();
    expect((await ask(request({ key: "another-key" }), waiting)).status).toBe(401);
    expect((await ask(request({ path: "/no/such/path" }), waiting)).status).toBe(404);
  });

  test("receives the headers, and answers 304 without a text", async () => {
    const { ask } = await world();
    const etag = (await ask(request(), waiting)).header("etag") ?? "";
    const again = await ask(request({ headers: { "if-none-match": etag } }), waiting);
    expect([again.status, again.text, again.header("etag")]).toEqual([304, "", etag]);
  });

  test.each([10, 100_000])("receives a body of %i characters unchanged", async (length) => {
    const { ask, cloud } = await world();
    const body = JSON.stringify({ [uuid]: { os_version: "ü".repeat(length) } });
    const headers = { "content-type": "application/json" };
    const told = request({ method: "PATCH", path: "/device/v3/state", headers, body });
    expect((await ask(told, waiting)).status).toBe(200);
    expect(cloud.asked.at(-1)).toMatchObject({ method: "PATCH", path: "/device/v3/state", body });
  });

  test("answers any number of requests at the same time", async () => {
    const { ask } = await world();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(request(), waiting)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  });

  test("rejects if no answer arrives, although the request may have arrived", async () => {
    const { ask, cloud } = await world();
    cloud.answerNext(/state$/, "lost");
    await expect(ask(request(), waiting)).rejects.toThrow(/ does not answer: /);
    expect(cloud.asked).toHaveLength(1);
    expect((await ask(request(), waiting)).status).toBe(200);
  });

  test("rejects if no server listens", async () => {
    const { ask, end } = await world();
    await end();
    await expect(ask(request(), waiting)).rejects.toThrow(/ does not answer: .*ECONNREFUSED/);
  });

  test("sends no request if the signal has fired", async () => {
    const { ask, cloud } = await world();
    await expect(ask(request(), AbortSignal.abort())).rejects.toThrow(/ does not answer: /);
    expect(cloud.asked).toEqual([]);
  });
});
