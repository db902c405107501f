import { describe, expect, test } from "vitest";
import { MemoryLogRing } from "../../core/embedded/ports.ts";
import type { Device } from "../support/fake-cloud.ts";
import { FastClock, cloudWithDevice, member, part, until, uuid, type Member } from "./fleet.ts";

/** Delivery of log lines to the cloud: in order and exactly once, also through failures. */

const web = "127.0.0.1:5000/v2/4f9ef689f5cf6bb8d5482ff67c68fb54";

const written = ({ logs }: Device): string[] => logs.filter(({ isSystem }) => !isSystem).map(({ message }) => message);
const said = ({ logs }: Device): string[] => logs.filter(({ isSystem }) => isSystem).map(({ message }) => message);

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, n) => `line ${from + n}`);

async function running() {
  const { cloud, known } = await cloudWithDevice();
  cloud.setTarget(uuid, "c1", { id: 1, services: { web: part(7, web) } });
  const program = () => ({ lines: [] });
  // All tests share it, because an engine may outlive its agent.
  const clock = new FastClock();
  const start = (more: Parameters<typeof member>[1] = {}) =>
    member(cloud, { key: "device-key", program, clock, ...more });
  const idOf = async (device: Member): Promise<string> => {
    let id = "";
    await until("it runs", async () => {
      const [container] = (await device.engine.look()).containers;
      id = container?.state === "running" ? container.id : "";
      return id !== "";
    });
    return id;
  };
  return { cloud, known, start, idOf };
}

describe("log lines", () => {
  test("of services and of the agent arrive unchanged", async () => {
    const { known, start, idOf } = await running();
    const device = await start();
    const id = await idOf(device);
    device.engine.write(id, "out");
    device.engine.write(id, "err", true);
    await until("both are there", () => written(known).length === 2);
    expect(known.logs.filter(({ isSystem }) => !isSystem)).toMatchObject([
      { message: "out", isStdErr: false, serviceId: 7, isSystem: false },
      { message: "err", isStdErr: true, serviceId: 7 },
    ]);
    await until("the agent's are there", () => said(known).some((message) => message.includes("Downloading image")));
    const order = known.logs.map(({ message }) => message);
    expect(order.findIndex((one) => one.includes("Downloading"))).toBeLessThan(order.indexOf("out"));
  });

  test("of the agent are errors if they report a failure, else not", async () => {
    const { known, start } = await running();
    await start({ registry: () => undefined });
    const failed = () => known.logs.find(({ message }) => message.startsWith("Failed to download image"));
    await until("it is told", () => failed() !== undefined);
    expect(failed()).toMatchObject({ isSystem: true, isStdErr: true });
    const begun = known.logs.find(({ message }) => message.startsWith("Downloading image"));
    expect(begun).toMatchObject({ isSystem: true, isStdErr: false });
  });

  test("that were written during an outage arrive afterwards, in order and once", async () => {
    const { cloud, known, start, idOf } = await running();
    const device = await start();
    const id = await idOf(device);
    device.engine.write(id, "line 0");
    await until("it is there", () => written(known).length === 1);
    await cloud.stop();
    for (const message of numbers(1, 200)) device.engine.write(id, message);
    await until("it has noticed", () => device.log.lines.some((line) => line.includes("The logs wait for the cloud")));
    await cloud.start();
    await until("all are there", () => written(known).length >= 200);
    expect(written(known)).toEqual(numbers(0, 200));
    expect(said(known).filter((message) => message.includes("Suppressed"))).toEqual([]);
  });

  test("that an agent has stored are sent after its restart, and reading continues where it ended", async () => {
    const { cloud, known, start, idOf } = await running();
    const first = await start();
    const id = await idOf(first);
    await until("the first are sent", () => said(known).length > 0);
    await cloud.stop();
    for (const message of numbers(0, 30)) first.engine.write(id, message);
    await first.stop();
    for (const message of numbers(30, 60)) first.engine.write(id, message);
    await cloud.start();
    await start({ store: first.store, ring: first.ring, ports: { engine: first.engine } });
    await until("all are there", () => written(known).length >= 60);
    expect(written(known)).toEqual(numbers(0, 60));
  });

  test("that are dropped for lack of space are counted, and a line in their place says how many", async () => {
    const { cloud, known, start, idOf } = await running();
    const device = await start({ ring: new MemoryLogRing(10_000) });
    const id = await idOf(device);
    device.engine.write(id, "before");
    await until("it is there", () => written(known).length === 1);
    await cloud.stop();
    for (const message of numbers(0, 500)) device.engine.write(id, message);
    await until("they are kept", async () => (await device.ring.read({ lines: 1, bytes: 1 })).lost > 0);
    await cloud.start();
    await until("the last is there", () => written(known).at(-1) === "line 499");
    const kept = written(known).slice(1);
    const [warning] = said(known).filter((message) => message.includes("were lost"));
    const lost = Number(/^Warning: (\d+) log lines were lost here/.exec(warning ?? "")?.[1]);
    // One of the lost lines is the agent's own line about the outage.
    expect(kept.length + lost).toBeGreaterThanOrEqual(500);
    expect(kept.length + lost).toBeLessThanOrEqual(510);
    expect(kept).toEqual(numbers(500 - kept.length, 500));
    const order = known.logs.map(({ message }) => message);
    expect(order.indexOf(warning ?? "")).toBeLessThan(order.indexOf(kept[0] ?? ""));
  });

  test("that a full disk does not accept are stored later", async () => {
    const { known, start, idOf } = await running();
    const ring = new MemoryLogRing();
    const append = ring.append.bind(ring);
    let isFull = true;
    ring.append = (...lines) => (isFull ? Promise.reject(new Error("disk full")) : append(...lines));
    const device = await start({ ring });
    const id = await idOf(device);
    for (const message of numbers(0, 900)) device.engine.write(id, message);
    const complaints = () => device.log.lines.filter((line) => line.includes("cannot be kept: disk full"));
    await until("it says so", () => complaints().length > 0);
    isFull = false;
    await until("all are there", () => written(known).length >= 900);
    expect(written(known)).toEqual(numbers(0, 900));
    expect(complaints()).toHaveLength(1);
  });

  test("of a service that exits at once arrive too", async () => {
    const { known, start } = await running();
    await start({ program: () => ({ lines: ["hello", "goodbye"], exit: { afterMs: 1, code: 0 } }) });
    await until("both are there", () => written(known).includes("goodbye"));
    expect(written(known).slice(0, 2)).toEqual(["hello", "goodbye"]);
  });

  test("that the cloud's configuration turns off are not stored", async () => {
    const { cloud, known, start, idOf } = await running();
    known.config = { ...known.config, RESIN_SUPERVISOR_LOG_CONTROL: "false" };
    const device = await start();
    const id = await idOf(device);
    device.engine.write(id, "out");
    await device.settled();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(known.logs).toEqual([]);
    expect((await device.ring.read({ lines: 1, bytes: 1 })).lines).toEqual([]);
    expect(cloud.asked.some(({ path }) => path.endsWith("/log-stream"))).toBe(false);
  });

  test("from before the agent's first start or while logs were off are not sent", async () => {
    const { known, start, idOf } = await running();
    const first = await start();
    const id = await idOf(first);
    first.engine.write(id, "sent by the first");
    await until("it is there", () => written(known).length === 1);
    await first.stop();

    // An agent with an empty store, as on a device of the reference implementation.
    const second = await start({ ports: { engine: first.engine } });
    await until("it has its target", () => second.supervisor.targets.hasCloud());
    await second.settled();
    first.engine.write(id, "wanted");
    await until("it is there", () => written(known).length === 2);
    const set = async (LOG_CONTROL: string) => {
      known.config = { ...known.config, RESIN_SUPERVISOR_LOG_CONTROL: LOG_CONTROL };
      second.supervisor.cloud?.update({ force: false });
      const { targets } = second.supervisor;
      await until("it knows", () => targets.cloudConfig()["SUPERVISOR_LOG_CONTROL"] === LOG_CONTROL);
      await second.settled();
    };
    await set("false");
    first.engine.write(id, "not wanted");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await second.supervisor.loop.look();
    await set("true");
    first.engine.write(id, "wanted again");
    await until("it is there", () => written(known).includes("wanted again"));
    expect(written(known)).toEqual(["sent by the first", "wanted", "wanted again"]);
  });

  test("go to the developer in local mode, and to the cloud again afterwards", async () => {
    const { cloud, known, start, idOf } = await running();
    const identity = { cloudUrl: cloud.url, cloudKey: "device-key", developmentMode: true };
    const device = await start({ identity });
    await idOf(device);
    known.config = { RESIN_SUPERVISOR_LOCAL_MODE: "1" };
    device.supervisor.cloud?.update({ force: false });
    await until("nothing runs", async () => (await device.engine.look()).containers.length === 0);
    const before = known.logs.length;
    device.supervisor.events.emit({ kind: "configRefused", reason: "for the developer" });
    known.config = {};
    device.supervisor.cloud?.update({ force: false });
    const again = await idOf(device);
    device.engine.write(again, "for the cloud");
    await until("it is there", () => written(known).includes("for the cloud"));
    expect(known.logs.slice(before).map(({ message }) => message)).not.toContain("for the developer");
  });
});
