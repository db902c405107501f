import { describe, expect, test } from "vitest";
import { app, device, exited, foreign, held, running, sentences, volume } from "./literals.ts";

const data = { volumes: ["data:/data"] };
const declared = { volumes: { data: {} } };
const web = { image: "web:1", ...data };
const user = running("web", "web:1", data);

describe("a missing volume", () => {
  test("is created, and services wait for it", () => {
    expect(sentences(device([], { images: ["web:1"] }), app({ web }, declared))).toEqual([
      "create volume 1_data",
      "wait for volume 1_data",
    ]);
  });

  test("delays only the services that mount it", () => {
    const current = device([], { images: ["web:1", "db:1"] });
    expect(sentences(current, app({ web, db: "db:1" }, declared))).toEqual([
      "create volume 1_data",
      "wait for volume 1_data",
      "install and start db",
    ]);
  });

  test("is created although no service mounts it", () => {
    expect(sentences(device([running("web", "web:1")]), app({ web: "web:1" }, declared))).toEqual([
      "create volume 1_data",
    ]);
  });
});

describe("an existing volume", () => {
  test("is mounted", () => {
    const current = device([], { images: ["web:1"], volumes: [volume("data")] });
    expect(sentences(current, app({ web }, declared))).toEqual(["install and start web"]);
  });

  test("stays if no release declares it any more, since it may contain data", () => {
    const current = device([running("web", "web:1")], { volumes: [volume("data")] });
    expect(sentences(current, app({ web: "web:1" }))).toEqual([]);
  });

  test("stays when its application leaves", () => {
    expect(sentences(device([], { networks: [], volumes: [volume("data")] }))).toEqual([]);
  });

  test("stays when its service is removed", () => {
    const current = device([user], { volumes: [volume("data")], locks: held("web") });
    expect(sentences(current, app({}))).toEqual(["kill web (no longer in the target state)"]);
  });
});

describe("a volume that shows a part of the host, which is not allowed any more", () => {
  const ofHost = volume("data", { driver_opts: { type: "none", o: "bind", device: "/etc" } });
  const release = app({ web }, declared);

  test("is removed after the containers that mount it are killed under the locks", () => {
    const current = device([user, running("db", "db:1")], { volumes: [ofHost] });
    expect(sentences(current, app({ web, db: "db:1" }, declared))).toEqual([
      "take the update locks of app 1",
      "… to kill web (volume 1_data changes)",
    ]);
  });

  test("is removed once no container mounts it", () => {
    const current = device([], { images: ["web:1"], volumes: [ofHost] });
    expect(sentences(current, release)).toEqual(["remove volume 1_data"]);
  });

  test("stays until every image has arrived", () => {
    const current = device([user], { volumes: [ofHost] });
    expect(sentences(current, app({ web, db: "db:1" }, declared))).toEqual(["fetch image db:1"]);
  });

  test("is kept while the application is restarted", () => {
    expect(sentences(device([], { volumes: [ofHost] }), app({ web }, { ...declared, temporary: "stopped" }))).toEqual([
      "keep volume 1_data as it is, though its definition has changed (driver_opts.type, driver_opts.o, driver_opts.device): to apply it, purge app 1, which deletes the data in its volumes",
    ]);
  });

  test("of another program stays", () => {
    const current = device([user], { volumes: [foreign(ofHost)] });
    expect(sentences(current, release)).toEqual([]);
  });

  test("stays if the release uses it and is allowed to", () => {
    const labels = { "io.balena.features.host-binds": "1" };
    const volumes = { data: { driver_opts: { type: "none", o: "bind", device: "/etc" } } };
    const current = device([running("web", "web:1", { ...data, labels })], { volumes: [ofHost] });
    expect(sentences(current, app({ web: { ...web, labels } }, { volumes }))).toEqual([]);
  });

  test("is removed before the other containers of its release start", () => {
    const current = device([exited("db", "db:1")], { images: ["web:1"], volumes: [ofHost] });
    expect(sentences(current, app({ web, db: "db:1" }, declared))).toEqual(["remove volume 1_data"]);
  });
});
