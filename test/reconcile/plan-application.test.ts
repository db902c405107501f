import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import { handOverName } from "../../core/model/names.ts";
import { unseen, type CurrentState } from "../../core/reconcile/current.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { describe as sentence } from "../../core/reconcile/step.ts";
import { plainImage } from "../compose/specs.ts";
import { device as facts, parsedApp, specOf } from "../support/specs.ts";
import { network, running } from "./literals.ts";

/** The container of release c0 that is to hand over to its successor. */
const leaving = (fields: object, more: Partial<Container> = {}): Container => ({
  ...running("web", "web:1"),
  id: "old",
  name: handOverName("web_1_1_c0"),
  spec: specOf(fields),
  ...more,
});

const image = { id: specOf({}).image, tags: ["web:1"], digests: [] };

function sentences(services: Record<string, object>, more: Partial<CurrentState>, release: object = {}): string[] {
  const current: CurrentState = {
    ...unseen(1_000_000, facts, false),
    images: [image],
    networks: [network("default")],
    ...more,
  };
  const target = { name: "device", config: {}, apps: [parsedApp(1, services, release)] };
  return [...plan(current, target).values()].flat().map(sentence);
}

describe("a service that a restart has stopped is created again during the download for its successor", () => {
  const stopped = leaving({}, { state: "exited" });
  const { id, name, spec } = stopped;
  const onItsWay = {
    downloads: new Map([["web:2", { is: "running", percent: 50 } as const]]),
    interrupted: new Map([["1/web", { id, name, spec }]]),
  };

  test("if it was removed", () => {
    expect(sentences({ web: { image: "web:2" } }, onItsWay)).toEqual(["wait for image web:2", "install and start web"]);
  });

  test("but not beside its own container, if that could not be removed", () => {
    expect(sentences({ web: { image: "web:2" } }, { ...onItsWay, containers: [stopped] })).toEqual([
      "wait for image web:2",
      "wait for web to take over",
    ]);
  });
});

describe("a container that is to hand over, after another change of the target state", () => {
  const imageConfigs = new Map([[image.id, plainImage]]);
  const locks = new Map([[1, ["web"]]]);

  test("is killed at once if its successor needs its port", () => {
    const containers = [leaving({ ports: ["80:80"] })];
    expect(sentences({ web: { image: "web:1", ports: ["80:8080"] } }, { containers, imageConfigs, locks })).toEqual([
      "kill web (its successor needs its port or address)",
    ]);
  });

  test("stays until its successor has taken over, if they share no port", () => {
    const containers = [leaving({ ports: ["80:80"] })];
    expect(sentences({ web: { image: "web:1", ports: ["81:80"] } }, { containers, imageConfigs, locks })).toEqual([
      "install and start web",
      "wait for web to take over",
      "release the update locks of app 1",
    ]);
  });
});

describe("a volume whose definition has changed", () => {
  const share = (options: string) => ({
    driver: "local",
    driver_opts: { type: "cifs", o: options },
    labels: { a: "1" },
  });
  const existing = {
    driver: "local",
    driverOptions: { type: "cifs", o: "password=old" },
    labels: { "io.balena.supervised": "true", a: "1" },
  };
  const downloads = new Map([["web:2", { is: "running", percent: 50 } as const]]);
  const found = (definition: object, spec: object = {}) =>
    sentences(
      { web: { image: "web:2" } },
      { downloads, volumes: [{ name: "1_data", spec: { ...existing, ...spec } }] },
      { volumes: { data: definition } },
    ).filter((one) => one.includes("volume"));

  test("is kept, which is logged with the differences and without passwords", () => {
    expect(found(share("password=new"))).toEqual([
      "keep volume 1_data as it is, though its definition has changed (driver_opts.o): to apply it, purge app 1, which deletes the data in its volumes",
    ]);
    expect(found({ driver: "nfs", labels: { a: "2", b: "1" } })).toEqual([
      expect.stringContaining("(driver, driver_opts.type, driver_opts.o, labels.a, labels.b)"),
    ]);
  });

  test.each([
    ["it equals its definition", {}],
    ["only the agent's own labels differ", { labels: { a: "1", "io.balena.supervised": "true" } }],
  ])("is not logged if %s", (_, spec) => {
    expect(found(share("password=old"), spec)).toEqual([]);
  });
});

describe("a service that the target state wants stopped", () => {
  const running = (fields: object): Partial<CurrentState> => ({
    containers: [{ ...leaving(fields), name: "web_1_1_c1" }],
    imageConfigs: new Map([[image.id, plainImage]]),
    locks: new Map([[1, ["db", "web"]]]),
    downloads: new Map([["db:1", { is: "running", percent: 50 }]]),
  });
  const stopped = { image: "web:1", running: false };

  test("is stopped", () => {
    expect(sentences({ web: stopped }, running({}))).toEqual(["stop web"]);
  });

  test("runs on until every image of the release is here", () => {
    expect(sentences({ web: stopped, db: { image: "db:1" } }, running({}))).toEqual([
      "wait for image db:1",
      "release the update locks of app 1",
    ]);
  });

  test("is stopped before that if its strategy kills first", () => {
    const labels = { "io.balena.update.strategy": "kill-then-download" };
    expect(sentences({ web: { ...stopped, labels }, db: { image: "db:1" } }, running({ labels }))).toEqual([
      "wait for image db:1",
      "stop web",
    ]);
  });
});
