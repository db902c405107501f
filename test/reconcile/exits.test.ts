import { expect, test } from "vitest";
import { describe as sentence, type Event } from "../../core/model/event.ts";
import type { EngineEvent } from "../../core/ports/engine.ts";
import { Exits } from "../../core/reconcile/exits.ts";

function setUp() {
  const told: Event[] = [];
  const activity = new Map<string, string>();
  const stoppedNow = new Set<string>();
  let now = 0;
  let listener: ((event: EngineEvent) => void) | undefined;
  const exits = new Exits({
    clock: { monotonic: () => now },
    engine: {
      onEvent: (listen) => {
        listener = listen;
        return () => (listener = undefined);
      },
    },
    events: { emit: (event) => void told.push(event) },
    memory: { activity, stoppedNow },
  });
  exits.start();
  const end = (service: string, { appId = 1, exitCode = 137 } = {}) =>
    listener?.({
      ...{ of: "container", what: "exited", id: "c" },
      exited: { appId, service, name: `${service}_1_2_c0ffee`, image: "sha256:1", exitCode },
    });
  return { exits, told, activity, stoppedNow, end, pass: (ms: number) => (now += ms) };
}

test("an exit is told with its code, its release and its cause", () => {
  const { told, end } = setUp();
  end("web");
  expect(told).toEqual([
    {
      ...{ kind: "serviceExited", appId: 1, service: "web", image: "sha256:1", commit: "c0ffee" },
      ...{ cause: "exit", reason: "exit code 137" },
    },
  ]);
  expect(told.map(sentence)).toEqual(["Service exited 'web sha256:1' with exit code 137"]);
});

test("what the agent stops, or has stopped on request, is not told", () => {
  const { told, end, activity, stoppedNow } = setUp();
  activity.set("1/web", "Stopping");
  stoppedNow.add("1/db");
  end("web");
  end("db");
  expect(told).toEqual([]);
  activity.set("1/web", "Starting");
  end("web", { exitCode: 1 });
  end("db", { appId: 2 });
  expect(told).toMatchObject([{ service: "web" }, { service: "db", appId: 2 }]);
});

test("a service that ends again and again is told three times, until it has stayed up for ten minutes", () => {
  const { told, end, pass } = setUp();
  for (let n = 0; n < 20; n++) {
    end("web");
    pass(500_000);
  }
  end("db");
  expect(told.map((event) => "service" in event && event.service)).toEqual(["web", "web", "web", "db"]);
  pass(600_000);
  end("web");
  expect(told).toHaveLength(5);
});

test("nothing is told after the end", () => {
  const { exits, told, end } = setUp();
  exits.stop();
  end("web");
  expect(told).toEqual([]);
});
