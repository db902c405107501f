import { expect, test } from "vitest";
import type { JournalQuery } from "../../core/ports/journal.ts";
import { testDevice } from "../support/device.ts";
import { failed, seen, text } from "./answers.ts";
import { plainQuery } from "../support/journal.ts";

/** A journal with one line, which records its queries. */
function journal() {
  const asked: JournalQuery[] = [];
  const read = (query: JournalQuery) => {
    asked.push(query);
    return new Blob(["Nov 23 20:14:40 host kernel: hello\n"]).stream();
  };
  return { asked, read };
}

test("the journal is passed on unchanged", async () => {
  const device = await testDevice({ ports: { journal: journal() } });
  expect(seen(await device.post("/v2/journal-logs", { count: 1 }))).toEqual(
    text(200, "Nov 23 20:14:40 host kernel: hello\n"),
  );
});

test.each([
  [undefined, {}],
  [{}, {}],
  [
    { all: true, follow: "1" },
    { all: true, follow: true },
  ],
  [{ all: "no", follow: 0 }, {}],
  [{ count: 5 }, { count: 5 }],
  [{ count: "5" }, { count: 5 }],
  [
    { unit: "docker.service", format: "json" },
    { unit: "docker.service", format: "json" },
  ],
  [{ containerId: "b9762ce0d5a8" }, { containerId: "b9762ce0d5a8" }],
  [
    { since: "2026-11-23 20:00", until: "now" },
    { since: "2026-11-23 20:00", until: "now" },
  ],
  // journalctl's own form of "an hour ago".
  [
    { since: "-1h", until: "-5min" },
    { since: "-1h", until: "-5min" },
  ],
  [{ unit: null, count: null }, {}],
])("%j queries the journal with %j", async (body, query) => {
  const port = journal();
  const device = await testDevice({ ports: { journal: port } });
  await device.post("/v2/journal-logs", body);
  expect(port.asked).toEqual([{ ...plainQuery, ...query }]);
});

test.each([
  [{ unit: "--output-fields=_CMDLINE" }, "unit: expected a text that does not begin with a dash"],
  [{ containerId: "-D/etc" }, "containerId: expected a text that does not begin with a dash"],
  [{ format: "-x" }, "format: expected a text that does not begin with a dash"],
])("%j is refused, because journalctl would read it as an option", async (body, message) => {
  const port = journal();
  const device = await testDevice({ ports: { journal: port } });
  expect(seen(await device.post("/v2/journal-logs", body))).toEqual(failed(400, message));
  expect(port.asked).toEqual([]);
});

test("a count that is not a number is refused", async () => {
  const device = await testDevice({ ports: { journal: journal() } });
  expect(seen(await device.post("/v2/journal-logs", { count: "abc" }))).toMatchObject({
    status: 400,
    body: { status: "failed", message: expect.stringMatching(/^count: /) },
  });
});

test("a reader that disconnects ends the journal's stream", async () => {
  let left = false;
  const device = await testDevice({
    ports: {
      journal: {
        read: () =>
          new ReadableStream<Uint8Array>({
            pull: (controller) => controller.enqueue(new TextEncoder().encode("a line\n")),
            cancel: () => void (left = true),
          }),
      },
    },
  });
  const response = await device.fetch(
    new Request("http://device/v2/journal-logs", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ follow: true }),
    }),
  );
  await response.body?.cancel();
  expect(left).toBe(true);
});

test("a machine without a journal is reported", async () => {
  const device = await testDevice();
  expect(seen(await device.post("/v2/journal-logs", {}))).toEqual(failed(501, "There is no journal in memory"));
});
