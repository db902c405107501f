import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { app, created, device, downloading, exited, held, running, sentences, target } from "./literals.ts";

const web = running("web", "web:1");
const db = running("db", "db:1");

describe("the update locks", () => {
  test("are taken in one step for all services of the application, in a fixed order", () => {
    const steps = plan(device([web, db], { images: ["web:2", "db:2"] }), target([app({ web: "web:2", db: "db:2" })]));
    expect([...steps.values()].flat()).toMatchObject([
      { action: "takeLocks", services: ["db", "web"], stops: [{ service: "web" }, { service: "db" }] },
    ]);
  });

  test("are taken also for services that are not stopped", () => {
    const steps = plan(device([web, db], { images: ["web:2"] }), target([app({ web: "web:2", db: "db:1" })]));
    expect([...steps.values()].flat()).toMatchObject([
      { action: "takeLocks", services: ["db", "web"], stops: [{ service: "web" }] },
    ]);
  });

  const active: readonly Container["state"][] = ["running", "paused", "restarting"];
  test.each(active)("are needed to kill a container that is %s", (state) => {
    expect(sentences(device([{ ...web, state }]), app({}))).toContain("take the update locks of app 1");
  });

  const inactive: readonly Container["state"][] = ["created", "exited", "removing", "dead"];
  test.each(inactive)("are not needed to kill a container that is %s", (state) => {
    expect(sentences(device([{ ...web, state }, db]), app({ db: "db:1" }))).toEqual([
      "kill web (no longer in the target state)",
    ]);
  });

  test("are not needed to start or to rename", () => {
    const current = device([created("web", "web:1"), db]);
    expect(sentences(current, app({ web: "web:1", db: "db:1" }, { commit: "c2" }))).toEqual([
      "start web",
      "rename db to db_1_10_c2",
    ]);
  });

  test("are needed to stop a service", () => {
    expect(sentences(device([web]), app({ web: { image: "web:1", running: false } }))).toEqual([
      "take the update locks of app 1",
      "… to stop web",
    ]);
  });

  test("that are held already are not taken again", () => {
    expect(sentences(device([web, db], { locks: held("db", "web") }), app({ db: "db:1" }))).toEqual([
      "kill web (no longer in the target state)",
    ]);
  });

  test("that are held for some services only are taken for all", () => {
    expect(sentences(device([web, db], { locks: held("web") }), app({ db: "db:1" }))).toEqual([
      "take the update locks of app 1",
      "… to kill web (no longer in the target state)",
    ]);
  });

  test("of another application do not matter", () => {
    const locks = new Map([[2, ["web"]]]);
    expect(sentences(device([web], { locks }), app({}), app({}, { appId: 2 }))).toEqual([
      "take the update locks of app 1",
      "… to kill web (no longer in the target state)",
      "release the update locks of app 2",
    ]);
  });

  test("are kept while containers are killed", () => {
    expect(sentences(device([web, db], { locks: held("db", "web") }), app({}))).toEqual([
      "kill web (no longer in the target state)",
      "kill db (no longer in the target state)",
    ]);
  });

  test("are kept while networks are removed", () => {
    expect(sentences(device([], { locks: held("web") }))).toEqual([
      "remove network 1_default (no longer in the target state)",
    ]);
  });

  test("are released if no container must stop any more", () => {
    expect(sentences(device([web], { locks: held("web") }), app({ web: "web:1" }))).toEqual([
      "release the update locks of app 1",
    ]);
  });

  test("are released while containers start and wait for others", () => {
    const current = device([], { images: ["web:1", "db:1"], locks: held("db", "web") });
    expect(sentences(current, app({ web: { image: "web:1", depends_on: ["db"] }, db: "db:1" }))).toEqual([
      "wait for db to start, on which web depends",
      "install and start db",
      "release the update locks of app 1",
    ]);
  });

  test("are released during a download", () => {
    const current = device([web], { downloads: downloading("web:2"), locks: held("web") });
    expect(sentences(current, app({ web: "web:2" }))).toEqual([
      "wait for image web:2",
      "release the update locks of app 1",
    ]);
  });

  test("of a removed application are released", () => {
    expect(sentences(device([], { networks: [], locks: held("web") }))).toEqual(["release the update locks of app 1"]);
  });

  test("of an application whose release is rejected are released", () => {
    const current = device([exited("web", "web:1")], { locks: held("web") });
    expect(sentences(current, app({ web: "web:2" }, { rejected: "web: no" }))).toEqual([
      "release the update locks of app 1",
    ]);
  });
});
