import { describe, expect, test } from "vitest";
import {
  app,
  aside,
  created,
  device,
  downloading,
  exited,
  foreign,
  held,
  network,
  running,
  sentences,
  strategy,
} from "./literals.ts";

const back = { networks: ["back"] };
const internal = { networks: { back: { internal: true } } };
const plain = { networks: { back: {} } };
const onBack = running("web", "web:1", back);
const web = { image: "web:1", ...back };

describe("a missing network", () => {
  test("is created, and services wait for it", () => {
    expect(sentences(device([], { images: ["web:1"], networks: [] }), app({ web }, plain))).toEqual([
      "create network 1_back",
      "wait for network 1_back",
    ]);
  });

  test("is created during downloads", () => {
    expect(sentences(device([], { downloads: downloading("web:1"), networks: [] }), app({ web }, plain))).toEqual([
      "wait for image web:1",
      "create network 1_back",
    ]);
  });

  test("is created while a container is replaced", () => {
    const current = device([running("web", "web:1")], { locks: held("web") });
    expect(sentences(current, app({ web }, plain))).toEqual([
      "create network 1_back",
      expect.stringMatching(/^kill web \(networks: /),
    ]);
  });

  test("is created although no service uses it", () => {
    expect(sentences(device([running("web", "web:1")]), app({ web: "web:1" }, plain))).toEqual([
      "create network 1_back",
    ]);
  });

  test("is created although another program has a network with that name", () => {
    const current = device([], { images: ["web:1"], networks: [foreign(network("back"))] });
    expect(sentences(current, app({ web }, plain))).toContain("create network 1_back");
  });
});

describe("a network whose definition has changed", () => {
  const networks = [network("back"), network("default")];

  test("is removed after the containers on it are killed under the locks", () => {
    const current = device([onBack, running("db", "db:1")], { networks });
    expect(sentences(current, app({ web, db: "db:1" }, internal))).toEqual([
      "take the update locks of app 1",
      "… to kill web (network 1_back goes (internal: false → true))",
    ]);
  });

  test("is removed without locks after containers on it that do not run", () => {
    const current = device([exited("web", "web:1", back)], { networks });
    expect(sentences(current, app({ web }, internal))).toEqual([
      "kill web (network 1_back goes (internal: false → true))",
    ]);
  });

  test("is removed once no container uses it", () => {
    const current = device([], { images: ["web:1"], networks, locks: held("web") });
    expect(sentences(current, app({ web }, internal))).toEqual([
      "remove network 1_back (internal: false → true)",
      "remove network 1_default (no longer in the target state)",
    ]);
  });

  test("is created again", () => {
    const current = device([], { images: ["web:1"], networks: [], locks: held("web") });
    expect(sentences(current, app({ web }, internal))).toEqual([
      "create network 1_back",
      "wait for network 1_back",
      "release the update locks of app 1",
    ]);
  });

  test("stays until every image has arrived", () => {
    const current = device([onBack], { networks: [network("back")] });
    expect(sentences(current, app({ web, db: { image: "db:1", ...back } }, internal))).toEqual(["fetch image db:1"]);
  });

  test("stays while the application is restarted", () => {
    const current = device([], { networks: [network("back")] });
    expect(sentences(current, app({ web }, { ...internal, temporary: "stopped" }))).toEqual([]);
  });

  test("keeps the reason of a container that is killed anyway", () => {
    const current = device([onBack], { networks: [network("back")], images: ["web:2"], locks: held("web") });
    expect(sentences(current, app({ web: { ...web, image: "web:2" } }, internal))).toEqual([
      'kill web (image: "web:1" → "web:2")',
    ]);
  });
});

describe("a network that is not declared any more", () => {
  test("is removed if no service uses it", () => {
    const current = device([running("web", "web:1")], { networks: [network("back"), network("default")] });
    expect(sentences(current, app({ web: "web:1" }))).toEqual([
      "remove network 1_back (no longer in the target state)",
    ]);
  });

  test("is removed after the containers that are on it", () => {
    const current = device([onBack], { networks: [network("back"), network("default")], locks: held("web") });
    expect(sentences(current, app({ web: "web:1" }))).toEqual([expect.stringMatching(/^kill web \(networks: /)]);
  });

  test("is removed with its application", () => {
    expect(sentences(device([]))).toEqual(["remove network 1_default (no longer in the target state)"]);
  });

  test("of another application or program stays", () => {
    const current = device([running("web", "web:1")], {
      networks: [network("default"), network("back", {}, 2), foreign(network("front"))],
    });
    expect(sentences(current, app({ web: "web:1" }), app({}, { appId: 2, ...plain }))).toEqual([]);
  });

  test("with labels that name no application stays", () => {
    const labelled = (labels: Record<string, string>) => ({
      ...network("back"),
      spec: { ...network("back").spec, labels: { "io.balena.supervised": "true", ...labels } },
    });
    const networks = [network("default"), labelled({}), labelled({ "io.balena.app-id": "one" })];
    expect(sentences(device([running("web", "web:1")], { networks }), app({ web: "web:1" }))).toEqual([]);
  });

  test("is removed during downloads", () => {
    const current = device([], { downloads: downloading("web:1"), networks: [network("default"), network("back")] });
    expect(sentences(current, app({ web: "web:1" }))).toEqual([
      "wait for image web:1",
      "remove network 1_back (no longer in the target state)",
    ]);
  });
});

test("a container that hands over is killed if its network must be removed", () => {
  const handOver = { ...strategy("hand-over"), ...back };
  const current = device([aside(running("web", "web:1", handOver)), created("web", "web:2", handOver)], {
    networks: [network("back")],
    locks: held("web"),
  });
  expect(sentences(current, app({ web: { image: "web:2", ...handOver } }, internal))).toEqual([
    "kill web (network 1_back goes (internal: false → true))",
    "kill web (network 1_back goes (internal: false → true))",
  ]);
});
