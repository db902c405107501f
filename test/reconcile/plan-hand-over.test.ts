import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import { plan } from "../../core/reconcile/plan.ts";
import {
  app,
  aside,
  created,
  device,
  downloading,
  exited,
  held,
  inVain,
  network,
  running,
  sentences,
  strategy,
  target,
  volume,
} from "./literals.ts";

const handOver = strategy("hand-over");
/** The predecessor and its successor, as containers, and the release of the successor. */
const first = running("web", "web:1", handOver);
const second = running("web", "web:2", handOver);
const release = app({ web: { image: "web:2", ...handOver } });
const locks = held("web");
/** As `moveAside` leaves it: the engine must not start it again. */
const withoutRestart = (container: Container): Container => ({
  ...container,
  spec: { ...container.spec, restart: { name: "no", retries: 0 } },
});
/** A device that judges its updates. */
const judged = (...[containers, more]: Parameters<typeof device>) =>
  device(containers, { updates: new Map([[1, {}]]), ...more });
const moved = withoutRestart(aside(first));
const back = app({ web: { image: "web:1", ...handOver } });

/** Long after the successor has started. */
const upFor = (upForMs: number) => ({ watch: new Map([[second.id, { upForMs, exits: 0 }]]) });
const later = upFor(60_000);
const soon = upFor(59_999);
const takenOver = new Set(["1/web"]);

describe("a hand-over", () => {
  test("begins when every image has arrived, under the locks", () => {
    const current = device([first], { images: ["web:2"] });
    expect(sentences(current, release)).toEqual([
      "take the update locks of app 1",
      '… to move web aside for a hand-over (image: "web:1" → "web:2")',
    ]);
  });

  test("goes on during the download for another release", () => {
    const third = app({ web: { image: "web:3", ...handOver } });
    expect(sentences(device([aside(first), second], { locks }), third)).toContain("fetch image web:3");
  });

  test("waits for the images of other services", () => {
    const current = device([first], { images: ["web:2"] });
    expect(sentences(current, app({ web: { image: "web:2", ...handOver }, db: "db:1" }))).toEqual(["fetch image db:1"]);
  });

  test("under the locks, the container is renamed and not stopped", () => {
    const steps = [...plan(device([first], { images: ["web:2"], locks }), target([release])).values()].flat();
    expect(steps).toMatchObject([{ action: "moveAside", id: "web", name: "old_web_1_10_c1" }]);
  });

  test("then the successor starts beside it; the start needs no locks", () => {
    const current = device([aside(first)], { images: ["web:2"], locks });
    expect(sentences(current, release)).toEqual([
      "install and start web",
      "wait for web to take over",
      "release the update locks of app 1",
    ]);
  });

  test("when the successor runs, its signal is checked every 100 ms, and the locks are kept", () => {
    const current = device([aside(first), second], { ...soon, locks });
    expect([...plan(current, target([release])).values()].flat()).toEqual([
      { action: "wait", reason: "web to take over", recheckMs: 100 },
    ]);
  });

  test("ends when the successor signals that it has taken over", () => {
    const current = device([aside(first), second], { ...soon, takenOver, locks });
    expect(sentences(current, release)).toEqual(["kill web (its successor has taken over)"]);
  });

  test("ends after a minute", () => {
    const current = device([aside(first), second], { ...later, locks });
    expect(sentences(current, release)).toEqual(["kill web (the time to hand over is up)"]);
  });

  test("ends after the time that its label names", () => {
    const labels = { ...handOver.labels, "io.balena.update.handover-timeout": "2000" };
    const current = (ms: number) =>
      device([aside(first), running("web", "web:2", { labels })], { ...upFor(ms), locks });
    const wanted = app({ web: { image: "web:2", labels } });
    expect(sentences(current(1_999), wanted)).toEqual(["wait for web to take over"]);
    expect(sentences(current(2_000), wanted)).toEqual(["kill web (the time to hand over is up)"]);
  });

  test("takes the locks again to end, if they were released", () => {
    const current = device([aside(first), second], later);
    expect(sentences(current, release)).toEqual([
      "take the update locks of app 1",
      "… to kill web (the time to hand over is up)",
    ]);
  });

  test("ends with the release of the locks", () => {
    expect(sentences(device([second], { locks }), release)).toEqual(["release the update locks of app 1"]);
  });

  test("of one service does not delay the update of another", () => {
    const current = device([aside(first), running("db", "db:1")], {
      images: ["web:2", "db:2"],
      locks: held("db", "web"),
    });
    expect(sentences(current, app({ web: { image: "web:2", ...handOver }, db: "db:2" }))).toEqual([
      'kill db (image: "db:1" → "db:2")',
    ]);
  });
});

describe("the predecessor stays for any time while its successor", () => {
  const rows: readonly [string, Parameters<typeof device>[0]][] = [
    ["does not exist yet", []],
    ["was created and did not start", [created("web", "web:2", handOver)]],
    ["has exited", [exited("web", "web:2", handOver)]],
    ["restarts again and again", [{ ...second, state: "restarting" }]],
    ["is unhealthy", [{ ...second, health: "unhealthy" }]],
  ];
  test.each(rows)("%s", (_, successor) => {
    const seen = new Set(["web"]);
    const current = device([aside(first), ...successor], { images: ["web:2"], ...later, takenOver, seen, locks });
    expect(sentences(current, release)).toContain("wait for web to take over");
  });
});

test.each(["starting", "healthy"] as const)("a successor that is %s may take over", (health) => {
  const current = device([aside(first), { ...second, health }], { ...soon, takenOver, locks });
  expect(sentences(current, release)).toEqual(["kill web (its successor has taken over)"]);
});

test.each([
  ["does not run", exited("web", "web:2", handOver)],
  ["is unhealthy", { ...second, health: "unhealthy" } as const],
])("the locks are released if the successor %s, and no signal is polled for", (_, successor) => {
  const current = device([aside(first), successor], { ...later, takenOver, seen: new Set(["web"]), locks });
  expect([...plan(current, target([release])).values()].flat()).toEqual([
    { action: "wait", reason: "web to take over" },
    { action: "releaseLocks", appId: 1 },
  ]);
});

describe("while the release is being tried and gates of the successor are closed", () => {
  const unproven = new Set(["1/web"]);

  test.each([
    ["it has taken over", { ...soon, takenOver }],
    ["the time is up", { ...later }],
    ["both", { ...later, takenOver }],
  ])("the predecessor stays, even when %s; the locks are released, and no signal is polled for", (_, more) => {
    const current = device([aside(first), second], { ...more, unproven, locks });
    expect([...plan(current, target([release])).values()].flat()).toEqual([
      { action: "wait", reason: "the gates of web to open" },
      { action: "releaseLocks", appId: 1 },
    ]);
  });

  test("of another service, the predecessor leaves as always", () => {
    const current = device([aside(first), second], { ...later, unproven: new Set(["1/db", "2/web"]), locks });
    expect(sentences(current, release)).toEqual(["kill web (the time to hand over is up)"]);
  });

  test("the predecessor leaves if it has ended, is not wanted, or its port is needed", () => {
    const ended = device([aside(exited("web", "web:1", handOver)), second], { unproven });
    expect(sentences(ended, release)).toEqual(["kill web (it has ended by itself)"]);
    const ports = { ...handOver, ports: ["80:80"] };
    const withPort = device([aside(running("web", "web:1", ports)), second], { unproven, locks });
    expect(sentences(withPort, app({ web: { image: "web:2", ...ports } }))).toContain(
      "kill web (its successor needs its port or address)",
    );
  });
});

test("when all gates of the successor are open, its signal and the time decide as always", () => {
  const unproven = new Set<string>();
  const current = (more: object) => device([aside(first), second], { unproven, locks, ...more });
  expect(sentences(current(soon), release)).toEqual(["wait for web to take over"]);
  expect(sentences(current({ ...soon, takenOver }), release)).toEqual(["kill web (its successor has taken over)"]);
  expect(sentences(current(later), release)).toEqual(["kill web (the time to hand over is up)"]);
});

describe("the container is killed without a hand-over", () => {
  /** A composition of two releases of web, before and after. */
  const kills = (before: object, after: object, more: Parameters<typeof device>[1] = {}) => {
    const current = device([running("web", "web:1", { ...handOver, ...before })], {
      images: ["web:2"],
      locks,
      ...more,
    });
    return sentences(current, app({ web: { image: "web:2", ...handOver, ...after } })).filter((one) =>
      one.startsWith("kill web"),
    );
  };
  const onNetwork = (address: object) => ({ networks: { default: address } });

  const needed: readonly [string, object][] = [
    ["port of the host", { ports: ["8080:80"] }],
    ["IPv4 address", onNetwork({ ipv4_address: "172.20.0.9" })],
    ["IPv6 address", onNetwork({ ipv6_address: "fd00::9" })],
  ];
  test.each(needed)("when both need the same %s", (_, fields) => {
    expect(kills(fields, fields)).toHaveLength(1);
  });

  const free: readonly [string, object, object][] = [
    ["another port", { ports: ["8080:80"] }, { ports: ["8081:80"] }],
    ["a port that the engine chooses", { ports: ["80"] }, { ports: ["80"] }],
    ["a range of ports", { ports: ["8080-8081:80"] }, { ports: ["8080-8081:80"] }],
    ["the port for another protocol", { ports: ["53:53/udp"] }, { ports: ["53:53/tcp"] }],
    ["another address", onNetwork({ ipv4_address: "172.20.0.9" }), onNetwork({ ipv4_address: "172.20.0.8" })],
    ["a new address", {}, onNetwork({ ipv4_address: "172.20.0.8" })],
  ];
  test.each(free)("but not when the successor has %s", (_, before, after) => {
    expect(kills(before, after)).toEqual([]);
  });

  test("when the container does not run", () => {
    const current = device([exited("web", "web:1", handOver)], { images: ["web:2"] });
    expect(sentences(current, release)).toEqual(['kill web (image: "web:1" → "web:2")']);
  });

  test("when the target state wants the service stopped", () => {
    const current = device([first], { images: ["web:2"], locks });
    expect(sentences(current, app({ web: { image: "web:2", running: false, ...handOver } }))).toEqual([
      'kill web (image: "web:1" → "web:2")',
    ]);
  });

  test("when another service uses the namespace of the container", () => {
    const lodger = { image: "job:1", network_mode: "service:web" };
    const current = device([first, running("job", "job:1", { network_mode: "container:web" })], {
      images: ["web:2"],
      locks: held("job", "web"),
    });
    expect(sentences(current, app({ web: { image: "web:2", ...handOver }, job: lodger }))).toEqual([
      'kill web (image: "web:1" → "web:2")',
      "kill job (it uses a namespace of web, which is replaced)",
    ]);
  });

  test("when a network of the container must be removed", () => {
    const fields = { ...handOver, networks: ["back"] };
    const current = device([running("web", "web:1", fields)], {
      images: ["web:2"],
      networks: [network("back")],
      locks,
    });
    expect(
      sentences(current, app({ web: { image: "web:2", ...fields } }, { networks: { back: { internal: true } } })),
    ).toEqual(['kill web (image: "web:1" → "web:2")']);
  });

  test("when a volume of the container must be removed", () => {
    const fields = { ...handOver, volumes: ["data:/data"] };
    const ofHost = { driver_opts: { type: "none", o: "bind", device: "/etc" } };
    const current = device([running("web", "web:1", fields)], {
      images: ["web:2"],
      volumes: [volume("data", ofHost)],
      locks,
    });
    expect(sentences(current, app({ web: { image: "web:2", ...fields } }, { volumes: { data: {} } }))).toEqual([
      'kill web (image: "web:1" → "web:2")',
    ]);
  });
});

describe("when the target state changes during a hand-over", () => {
  test("and the service is withdrawn, both containers are removed", () => {
    const current = device([aside(first), second, running("db", "db:1")], { locks: held("db", "web") });
    expect(sentences(current, app({ db: "db:1" }))).toEqual([
      "kill web (no longer in the target state)",
      "kill web (no longer in the target state)",
    ]);
  });

  test("and the application is withdrawn, both containers are removed", () => {
    expect(sentences(device([aside(first), second], { networks: [], locks }))).toEqual([
      "kill web (no longer in the target state)",
      "kill web (no longer in the target state)",
    ]);
  });

  test("the containers of a withdrawn service stay until every image has arrived", () => {
    const current = device([aside(first), second], { locks });
    expect(sentences(current, app({ db: "db:1" }))).toEqual(["fetch image db:1", "release the update locks of app 1"]);
  });

  test("and the service must stop, the predecessor is killed and the successor is stopped", () => {
    const current = device([aside(first), second], { locks });
    expect(sentences(current, app({ web: { image: "web:2", running: false, ...handOver } }))).toEqual([
      "kill web (the target state says `running: false`)",
      "stop web",
    ]);
  });

  test("to a third image, the predecessor runs on during the download", () => {
    const current = device([aside(first), second], { downloads: downloading("web:3"), ...later });
    expect(sentences(current, app({ web: { image: "web:3", ...handOver } }))).toEqual([
      "wait for image web:3",
      "wait for web to take over",
    ]);
  });

  test("to a third image, only the successor is replaced after the download", () => {
    const current = device([aside(first), second], { images: ["web:3"], ...later, takenOver, locks });
    expect(sentences(current, app({ web: { image: "web:3", ...handOver } }))).toEqual([
      'kill web (image: "web:2" → "web:3")',
    ]);
  });

  test("back to the first release, the successor is killed, whatever has been signalled", () => {
    const current = judged([moved, second], { ...later, takenOver, locks });
    expect(sentences(current, back)).toEqual(['kill web (image: "web:2" → "web:1")']);
    expect(sentences(judged([moved, second], later), back)).toEqual([
      "take the update locks of app 1",
      '… to kill web (image: "web:2" → "web:1")',
    ]);
  });

  test("and then the predecessor is taken back, with its name and its restart policy", () => {
    const steps = [...plan(judged([moved], { locks }), target([back])).values()].flat();
    expect(steps).toEqual([
      {
        ...{ action: "takeBack", appId: 1, id: "old_web", service: "web", name: "web_1_10_c1" },
        restart: { name: "always", retries: 0 },
      },
      { action: "releaseLocks", appId: 1 },
    ]);
    expect(sentences(judged([moved]), back)).toEqual(["take web back from its hand-over"]);
  });

  test("a predecessor that was taken back is settled", () => {
    expect(sentences(device([first]), back)).toEqual([]);
  });

  test("back to a release with a port that the successor did without, the predecessor keeps it", () => {
    const fields = { ...handOver, ports: ["80:80"] };
    const withPort = withoutRestart(aside(running("web", "web:1", fields)));
    const wanted = app({ web: { image: "web:1", ...fields } });
    expect(sentences(judged([withPort, second], { locks }), wanted)).toEqual([
      'kill web (image: "web:2" → "web:1"; ports: [] → [{"target":80,"protocol":"tcp","published":"80","ip":""}])',
    ]);
    expect(sentences(judged([withPort]), wanted)).toEqual(["take web back from its hand-over"]);
  });

  test("a replacement that was in vain waits, and the predecessor stays", () => {
    const current = judged([moved, second], { ...later, takenOver, locks });
    expect(sentences(inVain(current, target([back])), back)).not.toContainEqual(expect.stringMatching(/^kill/));
  });

  test("a device that judges no updates, as in local mode, replaces the predecessor as it always did", () => {
    expect(sentences(device([moved]), back)).toEqual(["install and start web", "wait for web to take over"]);
  });

  describe("the predecessor is not taken back", () => {
    const rows: readonly [string, Parameters<typeof device>[0], Parameters<typeof app>[0], string[]][] = [
      [
        "if the release wants another container",
        [withoutRestart(aside(running("web", "web:1", { ...handOver, user: "app" })))],
        { web: { image: "web:1", ...handOver } },
        ["install and start web", "wait for web to take over"],
      ],
      [
        "if it has ended",
        [withoutRestart(aside(exited("web", "web:1", handOver)))],
        { web: { image: "web:1", ...handOver } },
        ["kill web (it has ended by itself)"],
      ],
      [
        "if the service is not to run",
        [withoutRestart(aside(first))],
        { web: { image: "web:1", running: false, ...handOver } },
        ["take the update locks of app 1", "… to kill web (the target state says `running: false`)"],
      ],
      [
        "if the successor is what the release wants",
        [withoutRestart(aside(first)), first],
        { web: { image: "web:1", ...handOver } },
        ["take the update locks of app 1", "… to kill web (the time to hand over is up)"],
      ],
    ];
    test.each(rows)("%s", (_, containers, services, expected) => {
      expect(sentences(judged(containers, later), app(services))).toEqual(expected);
    });

    test("by another application, or for another service", () => {
      const other = withoutRestart(aside(running("web", "web:1", handOver, { appId: 2 })));
      expect(sentences(judged([other], { images: ["web:1"], networks: [network("default")] }), back)).toContain(
        "install and start web",
      );
      const db = withoutRestart(aside(running("db", "web:1", handOver)));
      const both = app({ web: { image: "web:1", ...handOver }, db: { image: "web:1", ...handOver } });
      expect(sentences(judged([db]), both)).toEqual(["install and start web", "take db back from its hand-over"]);
    });
  });
});

test("a predecessor that ends by itself is removed without locks", () => {
  const current = device([aside(exited("web", "web:1", handOver)), second], soon);
  expect(sentences(current, release)).toEqual(["kill web (it has ended by itself)"]);
});

test("a predecessor is killed if its network must be removed", () => {
  const fields = { ...handOver, networks: ["back"] };
  const current = device([aside(running("web", "web:1", fields)), running("web", "web:2", fields)], {
    networks: [network("default"), network("back")],
    locks,
  });
  const changed = app({ web: { image: "web:2", ...fields } }, { networks: { back: { internal: true } } });
  expect(sentences(current, changed)).toEqual([
    "kill web (network 1_back goes (internal: false → true))",
    "kill web (network 1_back goes (internal: false → true))",
  ]);
});
