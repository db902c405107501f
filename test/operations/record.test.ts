import { expect, test } from "vitest";
import { MemoryLog, MemoryStore } from "../../core/embedded/ports.ts";
import { recordObservation } from "../../core/operations/record.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { Documents } from "../../core/state/documents.ts";
import { Keys } from "../../core/state/keys.ts";
import { Memory } from "../../core/state/memory.ts";
import { eventsTo } from "../support/events.ts";
import { app, device, exited, running, target } from "../reconcile/literals.ts";

/** Counts the documents that are written. */
class CountingStore extends MemoryStore {
  readonly written: string[] = [];

  override write(documents: Readonly<Record<string, unknown>>): Promise<void> {
    this.written.push(...Object.keys(documents));
    return super.write(documents);
  }
}

async function agent() {
  const store = new CountingStore();
  const documents = new Documents(store);
  const memory = new Memory(documents, eventsTo(new MemoryLog()));
  const keys = new Keys(documents, systemClock);
  await Promise.all([memory.load(), keys.load()]);
  store.written.length = 0;
  const updates = { forgetUnlessOn: () => undefined, states: () => new Map() };
  return {
    store,
    memory,
    keys,
    updates,
    watch: { note: () => new Map() },
    idle: { note: () => undefined },
    probes: { answers: () => new Map(), watch: () => {} },
    clock: systemClock,
  };
}

const wanted = target([
  app({ web: { image: "web:1", labels: { "io.balena.features.supervisor-api": "1" } }, db: "db:1" }),
]);
const observed = device([running("web", "web:1")]);

test("images of the target state that are on the device, and the keys of its services, are recorded once", async () => {
  const { store, ...context } = await agent();
  const remembered = await recordObservation(context, observed, wanted);
  expect(remembered.imageRecords.map(({ serviceName, name }) => `${serviceName} ${name}`)).toEqual(["web web:1"]);
  expect(remembered.apiKeys.get("1/web")).toMatch(/^[0-9a-f]{64}$/);
  expect(remembered.apiKeys.get("1/db")).toBe("");
  expect(store.written.toSorted()).toEqual(["images", "keys"]);

  expect(await recordObservation(context, observed, wanted)).toEqual(remembered);
  expect(store.written).toHaveLength(2);
});

test("a container that has a key keeps it", async () => {
  const key = "ab".repeat(16);
  const [container] = observed.containers;
  const { spec } = container ?? running("web", "web:1");
  const environment = { ...spec.environment, BALENA_SUPERVISOR_API_KEY: key };
  const { apiKeys } = await recordObservation(
    await agent(),
    device([{ ...running("web", "web:1"), spec: { ...spec, environment } }]),
    wanted,
  );
  expect(apiKeys.get("1/web")).toBe(key);
});

test("the images of a rejected release are not recorded", async () => {
  const rejected = target([app({ web: "web:1" }, { rejected: "it asks for too much" })]);
  expect((await recordObservation(await agent(), observed, rejected)).imageRecords).toEqual([]);
});

test("containers that run are remembered until they are gone, except those of a busy application", async () => {
  const { memory } = await agent();
  const [web, db] = [running("web", "web:1"), running("db", "db:1", {}, { appId: 2 })];
  memory.recordRunning([web, db], (appId) => appId === 2);
  expect([...memory.seen]).toEqual([web.id]);
  memory.recordRunning([exited("web", "web:1"), db], () => false);
  expect([...memory.seen]).toEqual([web.id, db.id]);
  memory.recordRunning([db], () => false);
  expect([...memory.seen]).toEqual([db.id]);
});
