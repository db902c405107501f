import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { MemoryRequestJournal } from "../../core/embedded/request-journal.ts";
import type { KeptRequest } from "../../core/model/kept-request.ts";
import { keptRequests, type RequestJournal } from "../../core/ports/request-journal.ts";
import { SqliteRequestJournal } from "../../runtimes/node/store/sqlite-request-journal.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

/** The promises of `core/ports/request-journal.ts`. Each call of `open` stands for another run of the agent. */
type Open = () => RequestJournal;

async function sqlite(): Promise<Open> {
  const file = join(await temporaryFolder(), "state/requests.sqlite");
  const opened: SqliteRequestJournal[] = [];
  onTestFinished(() => opened.forEach((one) => one.close()));
  return () => {
    const journal = new SqliteRequestJournal(file);
    opened.push(journal);
    return journal;
  };
}

async function memory(): Promise<Open> {
  const journal = new MemoryRequestJournal();
  return () => journal;
}

const request = (id: string, more: Partial<KeptRequest> = {}): KeptRequest => ({
  ...{ id, caller: "device", at: 5, asked: "abc" },
  ...more,
});
const answered = (id: string, body = "OK"): KeptRequest =>
  request(id, { answer: { status: 200, headers: [["content-type", "text/plain"]], body } });

describe.each([
  ["in memory", memory],
  ["in SQLite", sqlite],
])("a request journal %s", (_, create) => {
  test("returns a request as it began, and then with its answer, also to another run", async () => {
    const open = await create();
    const journal = open();
    expect(await journal.read("a")).toBeUndefined();
    await journal.begin(request("a"));
    expect(await open().read("a")).toEqual(request("a"));
    await journal.end(answered("a"));
    await journal.begin(request("b"));
    await journal.end(request("b", { answer: { status: 200, without: "secret" } }));
    expect([await open().read("a"), await open().read("b")]).toEqual([
      answered("a"),
      request("b", { answer: { status: 200, without: "secret" } }),
    ]);
  });

  test("refuses to begin the same request twice, and ends none that has not begun", async () => {
    const journal = (await create())();
    await journal.begin(request("a"));
    await expect(journal.begin(request("a"))).rejects.toThrow();
    await journal.end(answered("never"));
    expect(await journal.read("never")).toBeUndefined();
  });

  test("lists the operations of a caller, the newest first", async () => {
    const journal = (await create())();
    const of = (id: string, caller: string) => request(id, { caller, operation: { name: "POST /v1/restart" } });
    for (const one of [of("1", "device"), of("2", "cloud"), request("3"), of("4", "device"), of("5", "device")])
      await journal.begin(one);
    const ids = async (limit: number) => (await journal.operations("device", limit)).map(({ id }) => id);
    expect([await ids(10), await ids(2)]).toEqual([
      ["5", "4", "1"],
      ["5", "4"],
    ]);
  });

  test("deletes the oldest requests of a caller that has too many, or too large ones, and none of others", async () => {
    const journal = (await create())();
    await journal.begin(request("other", { caller: "1/web" }));
    for (let n = 0; n <= keptRequests.entries; n++) await journal.begin(request(String(n)));
    expect([await journal.read("0"), (await journal.read("1"))?.id]).toEqual([undefined, "1"]);
    const body = "x".repeat(keptRequests.characters);
    await journal.begin(request("large"));
    await journal.end(answered("large", body));
    await journal.begin(request("next"));
    expect([await journal.read("1"), await journal.read("large"), (await journal.read("next"))?.id]).toEqual([
      ...[undefined, undefined],
      "next",
    ]);
    expect((await journal.read("other"))?.id).toBe("other");
  }, 60_000);
});

test("the file in SQLite is created with the first request, and only its owner can read it", async () => {
  const file = join(await temporaryFolder(), "state/requests.sqlite");
  const journal = new SqliteRequestJournal(file);
  onTestFinished(() => journal.close());
  await expect(stat(file)).rejects.toThrow("ENOENT");
  await journal.begin(request("a"));
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});
