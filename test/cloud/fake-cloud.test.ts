import { expect, test } from "vitest";
import * as z from "zod";
import { FakeCloud, startCloud } from "../support/fake-cloud.ts";
import { answerOf, bodyOf, exchanges, uuid, type Exchange } from "./recorded.ts";

/** The cloud of the tests gives the public cloud's recorded answer to each recorded request, in the recorded order. */

/** Requests that a device never sends, or that the tests do not need. */
const isForPeople = ({ request: { path, headers, method }, response: { status } }: Exchange): boolean =>
  (headers["Authorization"] === "Bearer <user-jwt>" && status === 200) ||
  /^\/(user|actor|api-key)\/|\/device\/v[12]\/[^/]+\/state|\/device\/v3\/fleet\/|\/device\/v2\/[^/]+\/logs/.test(
    path,
  ) ||
  (path.startsWith("/v7/") && method === "GET" && !path.includes("uuid eq"));

const asked = (file: string) => exchanges(file).filter((one) => !isForPeople(one));

async function replay(cloud: FakeCloud, exchange: Exchange) {
  const { method, path, headers } = exchange.request;
  const sent = Object.entries(headers).filter(([name]) => name !== "Content-Length");
  const body = bodyOf(exchange);
  // fetch adds headers that the recorded clients did not send.
  const init = {
    method,
    headers: {
      "cache-control": "max-age=0",
      ...Object.fromEntries(sent.map(([name, value]) => [name, String(value)])),
    },
  };
  const response = await fetch(cloud.url + encodeURI(path), body ? { ...init, body: new Uint8Array(body) } : init);
  return { status: response.status, etag: response.headers.has("etag"), text: await response.text() };
}

/** What must agree: the status, whether a 304 has an ETag, and a refusal's text. For HTML, only the beginning must agree. */
function expected(exchange: Exchange) {
  const { status, header, text } = answerOf(exchange);
  return {
    status,
    etag: status === 304 ? header("etag") !== undefined : undefined,
    text: status >= 400 && !text.startsWith("<!") ? text : undefined,
  };
}

async function cloudOf(file: string): Promise<FakeCloud> {
  const cloud = await startCloud();
  cloud.otherKeys.add("<provisioning-key-2>");
  if (file === "register") return cloud;
  cloud.addDevice(uuid, "<device-key>");
  cloud.addDevice("aaaa0000bbbb1111cccc2222dddd4444", "<device-key-2>");
  const [web, db, web2] = [
    `127.0.0.1:5000/v2/4f9ef689f5cf6bb8d5482ff67c68fb54@sha256:${"ab".repeat(32)}`,
    "127.0.0.1:5000/v2/5f21fffe9215f95f8f119dea0cfd8845",
    `127.0.0.1:5000/v2/f9ef1f42d7fc0ff0eb098c32dbc3edbe@sha256:${"ab".repeat(32)}`,
  ];
  const services = (...images: string[]) => Object.fromEntries(images.map((image, n) => [`service ${n}`, { image }]));
  cloud.addRelease({ id: 1, commit: `11111111${"a".repeat(32)}`, services: services(web, db) });
  cloud.addRelease({ id: 2, commit: `22222222${"b".repeat(32)}`, services: services(web2) });
  return cloud;
}

test.each(["register", "state-get", "report-v3", "logs"])("%s", async (file) => {
  const cloud = await cloudOf(file);
  // An ETag depends on the body, and our bodies differ.
  const state = await fetch(`${cloud.url}/device/v3/${uuid}/state`, {
    headers: { authorization: "Bearer <device-key>" },
  });
  const etag = state.headers.get("etag") ?? "";
  const recordedTag = /W\/"6e9-[^"]+"/;
  expect(asked(file).length).toBeGreaterThan(5);
  for (const exchange of asked(file)) {
    const headers = Object.fromEntries(
      Object.entries(exchange.request.headers).map(([name, value]) => [
        name,
        String(value)
          .replace(recordedTag, etag)
          .replace(/^"6e9-[^"]+"/, etag.replace(/^W\//, ""))
          .replace(/, W\/"6e9-[^"]+"/, `, ${etag}`),
      ]),
    );
    const answer = await replay(cloud, { ...exchange, request: { ...exchange.request, headers } });
    const { status, etag: hasTag, text } = expected(exchange);
    expect({ name: exchange.name, status: answer.status }).toEqual({ name: exchange.name, status });
    if (hasTag !== undefined)
      expect({ name: exchange.name, etag: answer.etag }).toEqual({ name: exchange.name, etag: hasTag });
    if (text !== undefined && text !== "null")
      expect({ name: exchange.name, text: answer.text }).toEqual({ name: exchange.name, text });
  }
});

const Row = z.object({
  status: z.string().nullable(),
  os_version: z.string().nullable(),
  memory_usage: z.number().nullable(),
  update_status: z.string().nullable(),
  is_running__release: z.array(z.object({ commit: z.string() })),
  image_install: z.array(
    z.object({
      status: z.string(),
      download_progress: z.number().nullable(),
      installs__image: z.tuple([z.object({ is_stored_at__image_location: z.string() })]),
      is_provided_by__release: z.tuple([z.object({ commit: z.string() })]),
    }),
  ),
});

test("after each recorded report, users see the recorded state", async () => {
  const cloud = await cloudOf("report-v3");
  const device = cloud.device(uuid);
  const all = exchanges("report-v3");
  let compared = 0;
  for (const one of all.slice(all.findIndex(({ name }) => name === "first report (full)"))) {
    if (one.request.method === "PATCH") await replay(cloud, one);
    const seen = one.request.path.startsWith("/v7/device(1)?")
      ? z.object({ d: z.tuple([Row]) }).parse(one.response.body).d[0]
      : undefined;
    if (!seen) continue;
    compared++;
    const { fields, installs, running, updateStatus } = device;
    expect({ name: one.name, ...fields, running, updateStatus }).toMatchObject({
      name: one.name,
      status: seen.status,
      os_version: seen.os_version,
      memory_usage: seen.memory_usage,
      running: seen.is_running__release[0]?.commit,
      updateStatus: seen.update_status ?? undefined,
    });
    const rows = seen.image_install.map(({ status, download_progress, installs__image, is_provided_by__release }) => [
      installs__image[0].is_stored_at__image_location,
      { status, progress: download_progress, commit: is_provided_by__release[0].commit },
    ]);
    const ours = [...installs].map(([image, { status, progress, commit }]) => [
      image.split("@")[0],
      { status, progress, commit },
    ]);
    expect({ name: one.name, rows: Object.fromEntries(ours) }).toEqual({
      name: one.name,
      rows: Object.fromEntries(rows),
    });
  }
  expect(compared).toBeGreaterThan(10);
});

test("of 300 lines at once, the last 50 are kept, with a line about the others", async () => {
  const cloud = await cloudOf("logs");
  const burst = exchanges("logs").find(({ name }) => name === "stream: 300 lines at once");
  expect(burst && (await replay(cloud, burst)).status).toBe(201);
  const { logs } = cloud.device(uuid);
  expect(logs.map(({ message }) => message)).toEqual([
    "Warning: Suppressed 250 message(s) due to rate limiting",
    ...Array.from({ length: 50 }, (_, n) => `burst ${250 + n}`),
  ]);
});
