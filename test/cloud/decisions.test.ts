import { describe, expect, test } from "vitest";
import { batchBody, cut } from "../../core/cloud/log-lines.ts";
import { afterPosition, nextPosition } from "../../core/model/log-position.ts";
import { jitter, retryAfterMs, transientError, withoutKeys } from "../../core/cloud/device-api-client.ts";
import { delayMs } from "../../core/model/retry.ts";
import { intervalMs, pollOutcome, nextPollMs } from "../../core/cloud/poll.ts";
import { registrationOutcome, registrationBody } from "../../core/cloud/device-registration.ts";
import { reportOutcome } from "../../core/cloud/reporter.ts";
import { answerOf, exchange, exchanges, uuid } from "./recorded.ts";

/** The decisions of the cloud session: recorded answers in, decisions out. */

describe("an answer to a registration", () => {
  test.each([
    ["register: ok", { is: "done", key: "<device-key>", id: 1 }],
    ["register: same uuid again", { is: "uuidTaken" }],
    ["register: same uuid, other key", { is: "uuidTaken" }],
    ["register: other uuid, key in use", { is: "keyTaken" }],
  ])("%s", (name, judged) => {
    expect(registrationOutcome(answerOf(exchange("register", name)))).toEqual(judged);
  });

  test.each([
    [
      "register: no key",
      'it answered 401: {"error":"API key required"} (it does not know the provisioning key; if that lasts, make a new one for the fleet, or download its config.json again)',
    ],
    [
      "register: key of another fleet",
      "it answered 401 (the provisioning key is not one of this fleet: key and fleet must be of the same config.json)",
    ],
    [
      "register: unknown device_type",
      'it answered 404: "Unknown device type nosuch" (set deviceType in config.json to one that the cloud knows)',
    ],
    [
      "register: uuid not hex",
      'it answered 400: "Device UUID must be a 32 or 62 character long lower case hex string."',
    ],
    ["register: array body", "it answered 400"],
  ])("%s is reported in the cloud's words, with advice", (name, why) => {
    expect(registrationOutcome(answerOf(exchange("register", name)))).toEqual({
      is: "failed",
      why,
      retryAfterMs: undefined,
    });
  });

  test("that is not JSON or lacks the key is invalid", () => {
    const answer = { header: () => undefined, text: "{}" };
    expect(registrationOutcome({ ...answer, status: 201 })).toMatchObject({ is: "failed" });
  });

  test("that cannot be parsed is not logged, because it may contain a key", () => {
    const text = '{"id":"7","api_key":"0123456789abcdef"}';
    const judged = registrationOutcome({ header: () => undefined, status: 201, text });
    expect(judged).toEqual({ is: "failed", why: "it answered 201 without a registration" });
  });
});

describe("a message from the cloud", () => {
  const request = {
    method: "POST",
    path: "/device/register",
    key: "provisioning-key",
    body: JSON.stringify({ api_key: "proposed-key", api_secret: "global-key", uuid: "u" }),
    timeoutMs: 1,
  } as const;
  const said = "provisioning-key, proposed-key and global-key are no good for u";
  const { signal } = new AbortController();

  test("about a refusal is reported without the keys that were sent", async () => {
    const ask = withoutKeys(() => Promise.resolve({ status: 400, header: () => undefined, text: said }));
    expect(transientError(await ask(request, signal)).why).toBe(
      "it answered 400: (hidden), (hidden) and (hidden) are no good for u",
    );
  });

  test("about a failed request is reported without keys", async () => {
    const ask = withoutKeys(() => Promise.reject(new Error(`Bearer provisioning-key to https://a:b@cloud.example`)));
    await expect(ask(request, signal)).rejects.toThrow("Bearer (hidden) to https://(hidden)@cloud.example");
  });

  test("of success is not changed, because it may bring a new key", async () => {
    const ask = withoutKeys(() => Promise.resolve({ status: 201, header: () => undefined, text: said }));
    expect((await ask(request, signal)).text).toBe(said);
  });
});

test("a registration has the content of the recorded one", () => {
  const { body } = exchange("register", "register: ok").request;
  const device = {
    uuid,
    type: "generic-amd64",
    osVersion: "balenaOS 6.0.12",
    osVariant: "dev" as const,
    supervisorVersion: "17.4.1",
    macAddress: "02:00:00:00:00:01",
  };
  const provisioning = { key: "<provisioning-key>", applicationId: 1, userId: 2 };
  expect(registrationBody(provisioning, device, "<device-key>")).toEqual(body);
});

test("a registration of a device whose operating system has no version has a variant and no version", () => {
  const device = {
    ...{ uuid, type: "generic-amd64", osVersion: undefined, osVariant: "prod" as const },
    ...{ supervisorVersion: "19.0.5", macAddress: "" },
  };
  expect(registrationBody({ key: "k", applicationId: 1 }, device, "d")).toEqual({
    application: 1,
    device_type: "generic-amd64",
    uuid,
    api_key: "d",
    os_variant: "prod",
  });
});

describe("an answer to a request for the target state", () => {
  test.each([
    ["v3 state, If-None-Match = etag", "unchanged"],
    ["v3 state, Accept-Encoding: gzip with If-None-Match", "unchanged"],
    ["v3 state, unknown uuid with a good key", "unknown"],
    ["v3 state, malformed uuid", "unknown"],
    ["v3 state, no key, known uuid", "failed"],
    ["v3 state, unknown key", "failed"],
    ["v3 state, provisioning key", "failed"],
    ["v3 state", "target"],
    ["v3 state, If-None-Match + Cache-Control: no-cache", "target"],
  ])("%s", (name, is) => {
    expect(pollOutcome(answerOf(exchange("state-get", name))).is).toBe(is);
  });

  test("that refuses the key gives advice", () => {
    const polled = pollOutcome(answerOf(exchange("state-get", "v3 state, unknown key")));
    expect(polled).toMatchObject({ why: expect.stringMatching(/^it answered 401, .* fairlead join .* --force$/) });
  });

  test("gives the body and the ETag", () => {
    const recorded = exchange("state-get", "v3 state");
    expect(pollOutcome(answerOf(recorded))).toEqual({
      is: "target",
      body: recorded.response.body,
      etag: recorded.response.headers["etag"],
    });
  });

  test("with hidden values of variables is refused", () => {
    const { text } = answerOf(exchange("state-get", "v3 state"));
    const header = (name: string) => (name === "fairlead-hidden-values" ? "1" : undefined);
    expect(pollOutcome({ status: 200, header, text })).toMatchObject({
      is: "failed",
      why: expect.stringContaining("hides the values"),
    });
  });

  test.each(["", "<html>", "null", "7"])("of 200 with the body %j is invalid", (text) => {
    expect(pollOutcome({ status: 200, header: () => undefined, text }).is).toBe("failed");
  });
});

test("every recorded report is judged by its status", () => {
  const reports = exchanges("report-v3").filter(({ request }) => request.method === "PATCH");
  const judged = reports.map(({ response }) => [response.status, reportOutcome(response)]);
  expect(new Map(judged.map((pair) => [pair[0], pair[1]]))).toEqual(
    new Map([
      [200, "accepted"],
      [400, "rejected"],
      [401, "unauthorized"],
      [413, "rejected"],
    ]),
  );
  for (const status of [408, 429, 500, 502, 503, 504]) expect(reportOutcome({ status })).toBeUndefined();
});

test("a page of HTML is not logged", () => {
  const page = exchange("register", "register: body not json");
  expect(registrationOutcome(answerOf(page))).toMatchObject({ is: "failed", why: "it answered 400" });
});

describe("the time of a request:", () => {
  test.each([
    // The config variable, the value in config.json, the interval.
    [undefined, undefined, 900_000],
    [undefined, 60_000, 60_000],
    ["600000", 60_000, 600_000],
    ["0", undefined, 1000],
    ["soon", undefined, 900_000],
  ])("with %j and %j, every %d ms", (variable, given, interval) => {
    expect(intervalMs(variable === undefined ? {} : { SUPERVISOR_POLL_INTERVAL: variable }, given)).toBe(interval);
  });

  test.each([
    [600_000, 0, 600_000],
    [600_000, 0.5, 630_000],
    [3_600_000, 0.5, 3_630_000],
    [10_000, 0.5, 10_500],
  ])("with an interval of %d ms and chance %d, in %d ms", (interval, chance, next) => {
    expect(nextPollMs(interval, chance)).toBe(next);
  });

  test.each([
    // Consecutive failures, Retry-After, the limit, chance.
    [1, undefined, 600_000, 0, 15_000],
    [2, undefined, 600_000, 0, 30_000],
    [5, undefined, 600_000, 0, 240_000],
    [9, undefined, 600_000, 0, 600_000],
    [1000, undefined, 600_000, 0, 600_000],
    [1, undefined, 600_000, 0.5, 18_750],
    [1, undefined, 1_000, 0, 1_000],
    [1, 60_000, 1_000, 0, 60_000],
    [1, 5_000, 600_000, 0, 15_000],
  ])(
    "after %d failures with Retry-After %j, limit %d and chance %d, in %d ms",
    (failures, retryAfterMs, limit, chance, wait) => {
      expect(delayMs({ firstMs: 15_000, maxMs: limit, jitter }, failures, { retryAfterMs, random: chance })).toBe(wait);
    },
  );

  test.each([
    ["10", 10_000],
    ["0", 0],
    [" 7 ", 7_000],
    ["999999999", 86_400_000],
    ["Wed, 21 Oct 2015 07:28:00 GMT", undefined],
    ["-1", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("Retry-After: %j is %j ms", (value, ms) => {
    expect(retryAfterMs({ header: (name) => (name === "retry-after" ? value : undefined) })).toBe(ms);
  });

  test("the recorded 429 asks for ten seconds", () => {
    const limited = exchanges("logs").find(({ response }) => response.status === 429);
    expect(limited && retryAfterMs(answerOf(limited))).toBe(10_000);
  });
});

describe("a container's log that is read again", () => {
  test.each([
    [undefined, [1, 1, 2], [1, 1, 2]],
    [{ timestamp: 5, count: 1 }, [5, 5, 6], [5, 6]],
    [{ timestamp: 5, count: 2 }, [5, 5, 6], [6]],
    [{ timestamp: 5, count: 2 }, [3, 4, 5, 5, 5], [5]],
    // The engine rounds times, so that millisecond may have no lines any more.
    [{ timestamp: 5, count: 2 }, [6, 7], [6, 7]],
  ])("from position %j: of the lines %j the new ones are %j", (position, read, fresh) => {
    const isNew = afterPosition(position);
    expect(read.filter((timestamp) => isNew(timestamp))).toEqual(fresh);
  });

  test("has a position that counts the lines of its last millisecond", () => {
    const positions = [5, 5, 4, 6, 6, 6].map((timestamp) => (position = nextPosition(position, timestamp)));
    expect(positions.at(-1)).toEqual({ timestamp: 6, count: 3 });
    expect(positions.at(2)).toEqual({ timestamp: 5, count: 2 });
  });

  test("continues after the clock was set back", () => {
    expect(nextPosition({ timestamp: 20_000, count: 3 }, 9_999)).toEqual({ timestamp: 9_999, count: 1 });
  });
  let position: ReturnType<typeof nextPosition> | undefined;
});

test("a batch has one JSON line for each log line, after a line about lost ones", () => {
  const lines = [{ number: 1, text: '{"message":"a"}' }];
  expect(batchBody(lines, 0, 9)).toBe('{"message":"a"}\n');
  const [lost = "", kept] = batchBody(lines, 3, 9).split("\n");
  expect(JSON.parse(lost)).toEqual({
    message: "Warning: 3 log lines were lost here: there was no room to keep them",
    timestamp: 9,
    isSystem: true,
    isStdErr: true,
  });
  expect(kept).toBe('{"message":"a"}');
});

test("a long message is cut where the reference implementation cuts it", () => {
  expect(cut("x".repeat(10_000))).toBe("x".repeat(10_000));
  expect(cut("x".repeat(10_001))).toBe(`${"x".repeat(10_000)}[...]`);
});
