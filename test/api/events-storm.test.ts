import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { createMemoryDevice } from "../../core/embedded/device.ts";
import { Listener } from "../../runtimes/node/listener.ts";
import { SqliteEventJournal } from "../../runtimes/node/store/sqlite-event-journal.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { Chance } from "../simulation/clock.ts";

/**
 * Events in a storm, with readers of every form over real sockets, which are slow and are cut; the agent is stopped, killed,
 * and loses its power. No reader gets an event twice, and none misses one without being told. FAIRLEAD_TEST_EVENTS=10000.
 */
const total = Number(process.env["FAIRLEAD_TEST_EVENTS"] ?? 2000);
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));

const Shown = z.looseObject({ id: z.int(), app: z.int().optional(), kind: z.string() });
const Gap = z.looseObject({ after: z.int(), before: z.int() });
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What a reader has received, checked as it arrives. */
class Ledger {
  /** The last id that was received or reported as lost. */
  last = 0;
  readonly received = new Map<number, number>();
  readonly lost: { readonly after: number; readonly before: number }[] = [];
  readonly faults: string[] = [];
  #newest = 0;

  event({ id, app = 0, kind }: z.output<typeof Shown>): void {
    if (id !== this.last + 1) this.faults.push(`event ${id} came after ${this.last}`);
    this.last = id;
    if (kind !== "purging") return;
    if (this.received.has(app)) this.faults.push(`event ${app} came twice: as ${this.received.get(app)} and ${id}`);
    const before = this.#newest;
    const at = this.received.get(before) ?? 0;
    if (app !== before + 1 && !this.lost.some((gap) => gap.after >= at && gap.before <= id))
      this.faults.push(`event ${app} came after ${before}, without a gap`);
    this.received.set(app, id);
    this.#newest = app;
  }

  gap({ after, before }: z.output<typeof Gap>): void {
    if (after !== this.last) this.faults.push(`the gap begins after ${after} instead of ${this.last}`);
    if (before <= after + 1) this.faults.push(`the gap between ${after} and ${before} has nothing in it`);
    this.lost.push({ after, before });
    this.last = before - 1;
  }
}

type Form = "poll" | "sse" | "ndjson";

/** The agent on one file of events, which is started again and again on the same port number. */
class Agent {
  readonly #file: string;
  #port = 0;
  #device: Awaited<ReturnType<typeof createMemoryDevice>> | undefined;
  #listener: Listener | undefined;
  #journal: (SqliteEventJournal & { isDead?: boolean }) | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const journal: SqliteEventJournal & { isDead?: boolean } = new SqliteEventJournal(this.#file);
    const append = journal.append.bind(journal);
    journal.append = (...given) => (journal.isDead ? Promise.reject(new Error("killed")) : append(...given));
    await journal.last();
    this.#journal = journal;
    this.#device = await createMemoryDevice({ ports: { eventJournal: journal } });
    const { fetch, supervisor } = this.#device;
    supervisor.events.emit({ kind: "registered" });
    await supervisor.events.settle();
    this.#listener = new Listener((one) => fetch(one), this.#port);
    await this.#listener.listen("127.0.0.1");
    this.#port = this.#listener.port;
  }

  emit(n: number): void {
    this.#device?.supervisor.events.emit({ kind: "purging", appId: n });
  }

  settle = () => this.#device?.supervisor.events.settle();

  /** `power`: also the last events on the disk are lost. */
  async end(how: "stop" | "kill" | "power"): Promise<void> {
    if (this.#journal && how !== "stop") this.#journal.isDead = true;
    await this.#listener?.close();
    await this.#device?.stop();
    if (how === "stop") this.#journal?.close();
    if (how !== "power") return;
    const database = new DatabaseSync(this.#file);
    database.exec("DELETE FROM events WHERE number > (SELECT max(number) - 5 FROM events)");
    database.close();
  }
}

/** Reads until `isDone`, comes back after each cut. */
async function read(agent: Agent, form: Form, ledger: Ledger, chance: Chance, isDone: () => boolean): Promise<void> {
  while (!isDone())
    try {
      const path =
        form === "poll"
          ? `/v3/events?after=${ledger.last}&wait=1&limit=${1 + chance.below(200)}`
          : form === "sse"
            ? `/v3/events?after=${ledger.last}`
            : `/v3/stream?events&after=${ledger.last}`;
      const response = await open(agent.url + path, form === "sse" ? { accept: "text/event-stream" } : {});
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      await take(response, form, ledger, chance);
    } catch {
      await pause(5);
    }
}

async function open(url: string, headers: Record<string, string>): Promise<IncomingMessage> {
  const sent = request(url, { headers, agent: false, timeout: 5000 });
  sent.on("timeout", () => sent.destroy(new Error("silent")));
  sent.end();
  const [response] = await once(sent, "response");
  return response;
}

async function take(response: IncomingMessage, form: Form, ledger: Ledger, chance: Chance): Promise<void> {
  let text = "";
  for await (const chunk of response) {
    text += String(chunk);
    if (form !== "poll") {
      const end = text.lastIndexOf(form === "sse" ? "\n\n" : "\n");
      if (end >= 0) takeLines(text.slice(0, end), form, ledger);
      if (end >= 0) text = text.slice(end);
    }
    if (chance.happens(0.05)) await pause(chance.below(300));
    if (form !== "poll" && chance.happens(0.01)) return void response.destroy();
  }
  if (form !== "poll") return;
  const { events, gaps, last } = z
    .object({ events: z.array(Shown), gaps: z.array(Gap), last: z.int() })
    .parse(JSON.parse(text));
  for (const item of [...events, ...gaps].sort((a, b) => placeOf(a) - placeOf(b)))
    if ("id" in item) ledger.event(Shown.parse(item));
    else ledger.gap(Gap.parse(item));
  if (last !== ledger.last) ledger.faults.push(`the cursor is ${last} instead of ${ledger.last}`);
}

const placeOf = (item: z.output<typeof Shown> | z.output<typeof Gap>): number =>
  "id" in item && typeof item.id === "number" ? item.id : Number(item["before"]) - 0.5;

function takeLines(text: string, form: Form, ledger: Ledger): void {
  if (form === "ndjson") {
    for (const line of text.split("\n").filter((one) => one !== "")) {
      const item = z.looseObject({ is: z.string() }).parse(JSON.parse(line));
      if (item.is === "event") ledger.event(Shown.parse(item));
      if (item.is === "lost") ledger.gap(Gap.parse(item));
    }
    return;
  }
  for (const block of text.split("\n\n")) {
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (data === undefined) continue;
    if (/^event: gap$/m.test(block)) ledger.gap(Gap.parse(JSON.parse(data)));
    else ledger.event(Shown.parse(JSON.parse(data)));
  }
}

test(`of ${total} events, no reader misses one without being told, and none gets one twice (SEED=${seed})`, async () => {
  const chance = new Chance(seed);
  const agent = new Agent(join(await temporaryFolder(), "events.sqlite"));
  await agent.start();
  let isOver = false;
  const forms: readonly Form[] = ["poll", "sse", "ndjson", "poll", "sse", "ndjson", "sse", "ndjson"];
  const ledgers = forms.map(() => new Ledger());
  const readers = forms.map((form, n) =>
    read(agent, form, ledgers[n] ?? new Ledger(), new Chance(seed + n), () => isOver),
  );
  onTestFinished(async () => {
    isOver = true;
    await agent.end("stop");
    await Promise.all(readers);
  });

  for (let n = 1; n <= total; n++) {
    agent.emit(n);
    if (chance.happens(0.01)) await pause(chance.below(30));
    if (chance.happens(5 / total)) {
      await agent.end(chance.pick(["stop", "kill", "power"]));
      await pause(chance.below(100));
      await agent.start();
    }
  }
  agent.emit(total + 1);
  await agent.settle();
  const isComplete = () => ledgers.every(({ received }) => received.has(total + 1));
  await expect
    .poll(() => isComplete() || ledgers.some(({ faults }) => faults.length > 0), { timeout: 30_000 })
    .toBe(true);

  expect(ledgers.map(({ faults }) => faults.slice(0, 3))).toEqual(forms.map(() => []));
  // The same event has the same id for everybody, and what one reader has not received is in a gap that it was told of.
  const ids = new Map(ledgers.flatMap(({ received }) => [...received]));
  for (const { received, lost } of ledgers)
    for (const [event, id] of ids) {
      const own = received.get(event);
      expect(own ?? id).toBe(id);
      expect(own !== undefined || lost.some(({ after, before }) => after < id && id < before)).toBe(true);
    }
  expect(ids.size).toBeGreaterThan(total / 10);
}, 180_000);
