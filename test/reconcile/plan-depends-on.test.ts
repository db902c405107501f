import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import { app, created, device, downloading, exited, running, sentences } from "./literals.ts";

const check = { healthcheck: { test: ["CMD", "true"] } };
const once = { restart: "no" };

/** What is planned for web, which depends on db, with this container of db. */
function planned(condition: string, db: Container | undefined, fields: object): string[] {
  const current = device(db ? [db] : [], { images: ["web:1", "db:1"], seen: new Set(["db"]) });
  const release = app({
    web: { image: "web:1", depends_on: { db: { condition } } },
    db: { image: "db:1", ...fields },
  });
  return sentences(current, release).filter((one) => one.includes("web"));
}

const start = "install and start web";
const wait = (reason: string) => `wait for db to ${reason}, on which web depends`;

describe("service_started", () => {
  const rows: readonly [string, Container | undefined, string][] = [
    ["does not exist", undefined, wait("start")],
    ["was created and never ran", created("db", "db:1"), wait("start")],
    ["runs", running("db", "db:1"), start],
    ["has run and exited", exited("db", "db:1"), start],
    ["is unhealthy", { ...running("db", "db:1"), health: "unhealthy" }, start],
  ];
  test.each(rows)("when the other %s", (_, db, sentence) => {
    expect(planned("service_started", db, {})).toEqual([sentence]);
  });
});

describe("service_healthy", () => {
  const rows: readonly [string, Container | undefined, string][] = [
    ["does not exist", undefined, wait("start")],
    ["was created and never ran", created("db", "db:1", check), wait("become healthy (now created)")],
    ["starts", { ...running("db", "db:1", check), health: "starting" }, wait("become healthy (now starting)")],
    ["is unhealthy", { ...running("db", "db:1", check), health: "unhealthy" }, wait("become healthy (now unhealthy)")],
    ["has exited", exited("db", "db:1", check), wait("become healthy (now exited)")],
    ["is healthy", { ...running("db", "db:1", check), health: "healthy" }, start],
  ];
  test.each(rows)("when the other, which has a healthcheck, %s", (_, db, sentence) => {
    expect(planned("service_healthy", db, check)).toEqual([sentence]);
  });

  test("without a healthcheck, its start is enough", () => {
    expect(planned("service_healthy", running("db", "db:1"), {})).toEqual([start]);
    expect(planned("service_healthy", created("db", "db:1"), {})).toEqual([wait("start")]);
  });
});

describe("service_completed_successfully", () => {
  const completed = exited("db", "db:1", once);
  const rows: readonly [string, Container | undefined, string][] = [
    ["does not exist", undefined, wait("start")],
    ["was created and never ran", created("db", "db:1", once), wait("complete successfully")],
    ["runs", running("db", "db:1", once), wait("complete successfully")],
    ["has completed", completed, start],
    ["has failed", { ...completed, exitCode: 3 }, wait("complete successfully (it exited with 3)")],
  ];
  test.each(rows)("when the other %s", (_, db, sentence) => {
    expect(planned("service_completed_successfully", db, once)).toEqual([sentence]);
  });

  test("a one-shot service that has failed is not started again", () => {
    const current = device([{ ...completed, exitCode: 3 }], { images: ["web:1"] });
    const release = app({
      web: { image: "web:1", depends_on: { db: { condition: "service_completed_successfully" } } },
      db: { image: "db:1", ...once },
    });
    expect(sentences(current, release)).toEqual([wait("complete successfully (it exited with 3)")]);
  });
});

describe("services that depend on each other", () => {
  const chain = app({
    web: { image: "web:1", depends_on: ["db", "cache"] },
    cache: { image: "cache:1", depends_on: ["db"] },
    db: "db:1",
  });

  test("start in the order of their dependencies", () => {
    const all = { images: ["web:1", "cache:1", "db:1"] };
    expect(sentences(device([], all), chain)).toEqual([
      "wait for db to start, on which web depends",
      "wait for db to start, on which cache depends",
      "install and start db",
    ]);
    expect(sentences(device([running("db", "db:1")], all), chain)).toEqual([
      "wait for cache to start, on which web depends",
      "install and start cache",
    ]);
    expect(sentences(device([running("db", "db:1"), running("cache", "cache:1")], all), chain)).toEqual([
      "install and start web",
    ]);
  });

  test("wait also if their containers exist already", () => {
    const containers = [created("web", "web:1"), created("cache", "cache:1"), created("db", "db:1")];
    expect(sentences(device(containers), chain)).toEqual([
      "wait for db to start, on which web depends",
      "wait for db to start, on which cache depends",
      "start db",
    ]);
  });

  test("are not stopped if the service that they depend on is replaced", () => {
    const containers = [running("web", "web:1"), running("cache", "cache:1"), running("db", "db:0")];
    expect(sentences(device(containers, { images: ["db:1"] }), chain)).toEqual([
      "take the update locks of app 1",
      '… to kill db (image: "db:0" → "db:1")',
    ]);
  });

  test("wait for a service whose image is being downloaded", () => {
    const current = device([created("web", "web:1"), running("db", "db:1")], { downloads: downloading("cache:1") });
    expect(sentences(current, chain)).toEqual(["wait for image cache:1"]);
  });

  test("start once the other one runs, during further downloads", () => {
    const current = device([created("cache", "cache:1"), running("db", "db:1")], { downloads: downloading("web:1") });
    expect(sentences(current, chain)).toEqual(["wait for image web:1", "start cache"]);
  });

  test("wait for a service that the target state wants stopped", () => {
    const current = device([], { images: ["web:1", "db:1"] });
    const release = app({ web: { image: "web:1", depends_on: ["db"] }, db: { image: "db:1", running: false } });
    expect(sentences(current, release)).toEqual(["wait for db to start, on which web depends", "install db"]);
  });
});
