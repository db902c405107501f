import { describe, expect, test } from "vitest";
import { plan } from "../../core/reconcile/plan.ts";
import {
  app,
  device,
  fetched,
  held,
  inVain,
  network,
  running,
  sentencesFor,
  strategy,
  target,
  times,
  volume,
} from "./literals.ts";

/** A step that has succeeded, and is due again all the same, made no difference: it waits before it is tried again. */

const again = (what: string) => `wait for another try to ${what}, which made no difference`;
const web = running("web", "web:1");
/** The engine reads the user back in another way than it was told. */
const wanted = target([app({ web: { image: "web:1", user: "app" } })]);

describe("a step that had no effect waits", () => {
  const networks = [network("back"), network("default")];
  const release = target([app({ web: "web:1" })]);
  const ofHost = volume("data", { driver_opts: { type: "none", o: "bind", device: "/etc" } });
  const rows: readonly [string, ReturnType<typeof device>, ReturnType<typeof target>, string[]][] = [
    [
      "to create a network",
      device([], { images: ["web:1"], networks: [] }),
      release,
      [again("create network 1_default")],
    ],
    [
      "to create a volume",
      device([web]),
      target([app({ web: "web:1" }, { volumes: { data: {} } })]),
      [again("create volume 1_data")],
    ],
    [
      "to remove a network",
      device([web], { networks }),
      release,
      [again("remove network 1_back (no longer in the target state)")],
    ],
    [
      "to remove a volume",
      device([], { images: ["web:1"], volumes: [ofHost] }),
      target([app({ web: "web:1" }, { volumes: { data: {} } })]),
      [again("remove volume 1_data")],
    ],
    [
      "to remove an image",
      device([web], { imageRecords: fetched("web", "web:0") }),
      release,
      [again("remove image web:0")],
    ],
    ["to install a container", device([], { images: ["web:1"] }), release, [again("install and start web")]],
    ["to rename a container", device([{ ...web, name: "web_0" }]), release, [again("rename web to web_1_10_c1")]],
    ["to take the locks", device([web, running("db", "db:1")]), release, [again("take the update locks of app 1")]],
    [
      "to set the firewall",
      device([web], { firewall: "unset" }),
      release,
      [again("set the firewall: the host open, the API for services only")],
    ],
  ];
  test.each(rows)("%s", (_, current, asked, expected) => {
    expect(sentencesFor(inVain(current, asked), asked)).toEqual(expect.arrayContaining(expected));
  });

  test("and is repeated after the wait", () => {
    const current = device([web, running("db", "db:1")], { locks: held("db", "web") });
    expect(sentencesFor(inVain(current, release, times.now), release)).toEqual(sentencesFor(current, release));
  });

  test("and the wait names its time and its step", () => {
    const current = inVain(device([web], { networks }), release);
    expect([...plan(current, release).values()].flat()).toMatchObject([
      { action: "wait", recheckMs: 5_000, again: { action: "removeNetwork", name: "1_back" } },
    ]);
  });

  test("but a download does not, since it has its own back-off", () => {
    const missing = target([app({ web: "web:2" })]);
    expect(sentencesFor(inVain(device([web]), missing), missing)).toEqual(["fetch image web:2"]);
  });

  test("but not if the step has another reason", () => {
    const current = inVain(device([web], { locks: held("web") }), wanted);
    const other = target([app({ web: { image: "web:1", user: "other" } })]);
    expect(sentencesFor(current, other)).toEqual(['kill web (user: "" → "other")']);
  });

  test("but not if the step is of another application", () => {
    const current = inVain(device([web], { networks }), release);
    const both = target([app({ web: "web:1" }), app({ shop: "web:1" }, { appId: 2 })]);
    expect(sentencesFor(current, both)).toContain("create network 2_default");
  });
});

describe("a container whose replacement had no effect", () => {
  test("runs on without locks", () => {
    expect(sentencesFor(inVain(device([web]), wanted), wanted)).toEqual([again('kill web (user: "" → "app")')]);
  });

  test("has the locks released", () => {
    const current = inVain(device([web], { locks: held("web") }), wanted);
    expect(sentencesFor(current, wanted)).toEqual([
      again('kill web (user: "" → "app")'),
      "release the update locks of app 1",
    ]);
  });

  test("is replaced after the wait", () => {
    const current = inVain(device([web], { locks: held("web") }), wanted, times.now);
    expect(sentencesFor(current, wanted)).toEqual(['kill web (user: "" → "app")']);
  });

  test("does not delay the services that depend on it", () => {
    const asked = target([app({ web: { image: "web:1", user: "app" }, db: { image: "db:1", depends_on: ["web"] } })]);
    const current = device([web], { images: ["db:1"] });
    expect(sentencesFor(inVain(current, asked), asked)).toContain("install and start db");
  });

  test("does not stop a service that uses its namespace", () => {
    const asked = target([
      app({ web: { image: "web:1", user: "app" }, probe: { image: "probe:1", pid: "service:web" } }),
    ]);
    const current = device([web, running("probe", "probe:1", { pid: "container:web" })]);
    expect(sentencesFor(inVain(current, asked), asked)).toEqual([again('kill web (user: "" → "app")')]);
  });

  test("is renamed meanwhile", () => {
    const current = inVain(device([web]), wanted);
    const next = target([app({ web: { image: "web:1", user: "app" } }, { commit: "c2" })]);
    expect(sentencesFor(current, next)).toEqual(["rename web to web_1_10_c2", again('kill web (user: "" → "app")')]);
  });

  test("is not killed again at once if the engine cannot remove it", () => {
    const asked = target([app({ web: "web:1" })]);
    expect(sentencesFor(inVain(device([{ ...web, state: "dead" }]), asked), asked)).toEqual([
      again("kill web (the engine could not remove it)"),
    ]);
  });

  test("is not moved aside again either", () => {
    const handOver = strategy("hand-over");
    const asked = target([app({ web: { image: "web:1", user: "app", ...handOver } })]);
    const current = device([running("web", "web:1", handOver)], { locks: held("web") });
    expect(sentencesFor(current, asked)).toEqual(['move web aside for a hand-over (user: "" → "app")']);
    expect(sentencesFor(inVain(current, asked), asked)).toEqual([
      again('kill web (user: "" → "app")'),
      "release the update locks of app 1",
    ]);
  });

  test("is removed with its network, which is a new attempt", () => {
    const current = inVain(device([web], { locks: held("web") }), wanted);
    const other = target([
      app({ web: { image: "web:1", user: "app" } }, { networks: { default: { internal: true } } }),
    ]);
    const steps = [...plan(current, other).values()].flat();
    expect(steps).toMatchObject(
      [
        {
          action: "kill",
          why: "network 1_default goes (internal: false → true)",
          differences: [{ field: "user", from: "", to: "app" }],
        },
        { action: "wait", again: { action: "kill" } },
      ].toReversed(),
    );
  });
});

describe("a network or volume whose removal had no effect", () => {
  test("lets the containers on it run on", () => {
    const back = { networks: ["back"] };
    const asked = target([app({ web: { image: "web:1", ...back } }, { networks: { back: { internal: true } } })]);
    const onBack = running("web", "web:1", back);
    const networks = [network("back")];
    const emptied = inVain(device([], { networks, images: ["web:1"] }), asked);
    expect(sentencesFor({ ...emptied, containers: [onBack] }, asked)).toEqual([
      again("remove network 1_back (internal: false → true)"),
    ]);
  });

  test("lets the containers that mount it run on", () => {
    const data = { volumes: ["data:/data"] };
    const asked = target([app({ web: { image: "web:1", ...data } }, { volumes: { data: {} } })]);
    const ofHost = volume("data", { driver_opts: { type: "none", o: "bind", device: "/etc" } });
    const emptied = inVain(device([], { volumes: [ofHost], images: ["web:1"] }), asked);
    expect(sentencesFor({ ...emptied, containers: [running("web", "web:1", data)] }, asked)).toEqual([
      again("remove volume 1_data"),
    ]);
  });

  test("does not delay the start of the others", () => {
    const asked = target([app({ web: "web:1" })]);
    const current = device([], { networks: [network("default"), network("back")], images: ["web:1"] });
    expect(sentencesFor(inVain(current, asked), asked)).toContain("install and start web");
  });
});
