import { describe, expect, test } from "vitest";
import { app, device, downloading, fetched, held, running, sentences, strategy } from "./literals.ts";

const killFirst = strategy("kill-then-download");
const deleteFirst = strategy("delete-then-download");

test("a device in its target state has no steps", () => {
  expect(sentences(device([running("web", "web:1")]), app({ web: "web:1" }))).toEqual([]);
});

describe("download-then-kill, the default", () => {
  test("no service is stopped until every image of the release has arrived", () => {
    const current = device([running("web", "web:1")], { images: ["web:2"] });
    expect(sentences(current, app({ web: "web:2", db: "db:1" }))).toEqual(["fetch image db:1"]);
  });

  test("the plan waits for a running download", () => {
    const current = device([running("web", "web:1")], { downloads: downloading("web:2") });
    expect(sentences(current, app({ web: "web:2" }))).toEqual(["wait for image web:2"]);
  });

  test("when every image is here, the outdated container is killed under the locks", () => {
    const current = device([running("web", "web:1")], { images: ["web:2"] });
    expect(sentences(current, app({ web: "web:2" }))).toEqual([
      "take the update locks of app 1",
      '… to kill web (image: "web:1" → "web:2")',
    ]);
  });

  test("an unchanged service runs on", () => {
    const current = device([running("web", "web:1"), running("db", "db:1")], { images: ["web:2"] });
    expect(sentences(current, app({ web: "web:2", db: "db:1" }))).toEqual([
      "take the update locks of app 1",
      '… to kill web (image: "web:1" → "web:2")',
    ]);
  });

  test("a new configuration needs no download", () => {
    const current = device([running("web", "web:1")], { locks: held("web") });
    expect(sentences(current, app({ web: { image: "web:1", environment: { MODE: "b" }, user: "app" } }))).toEqual([
      'kill web (user: "" → "app"; environment.MODE is new)',
    ]);
  });

  test("a new configuration waits for the images of other services", () => {
    const current = device([running("web", "web:1")]);
    expect(sentences(current, app({ web: { image: "web:1", user: "app" }, db: "db:1" }))).toEqual(["fetch image db:1"]);
  });

  test("a service that leaves the release waits for the images of the others", () => {
    const current = device([running("web", "web:1"), running("db", "db:1")]);
    expect(sentences(current, app({ web: "web:2" }))).toEqual(["fetch image web:2"]);
  });

  test("a service that leaves the release is killed", () => {
    const current = device([running("web", "web:1"), running("db", "db:1")]);
    expect(sentences(current, app({ web: "web:1" }))).toEqual([
      "take the update locks of app 1",
      "… to kill db (no longer in the target state)",
    ]);
  });

  test("after the kill, the new container is started and the locks are released", () => {
    const current = device([], { images: ["web:2"], locks: held("web") });
    expect(sentences(current, app({ web: "web:2" }))).toEqual([
      "install and start web",
      "release the update locks of app 1",
    ]);
  });

  test("a new service is installed beside the others without locks", () => {
    const current = device([running("web", "web:1")], { images: ["db:1"] });
    expect(sentences(current, app({ web: "web:1", db: "db:1" }))).toEqual(["install and start db"]);
  });

  test("a new service is not installed until every image of the release has arrived", () => {
    const current = device([running("web", "web:1")], { images: ["db:1"] });
    expect(sentences(current, app({ web: "web:2", db: "db:1" }))).toEqual(["fetch image web:2"]);
  });
});

describe("kill-then-download", () => {
  test("the container is killed before the download begins", () => {
    const current = device([running("web", "web:1", killFirst)]);
    expect(sentences(current, app({ web: { image: "web:2", ...killFirst } }))).toEqual([
      "take the update locks of app 1",
      "… to kill web (image: web:2 will be downloaded)",
    ]);
  });

  test("then its image is fetched", () => {
    expect(sentences(device([]), app({ web: { image: "web:2", ...killFirst } }))).toEqual(["fetch image web:2"]);
  });

  test("the old image stays until the new one has arrived", () => {
    const current = device([], { images: ["web:1"], imageRecords: fetched("web", "web:1") });
    expect(sentences(current, app({ web: { image: "web:2", ...killFirst } }))).toEqual(["fetch image web:2"]);
  });

  test("the old image is removed when the new one has arrived", () => {
    const current = device([], { images: ["web:1", "web:2"], imageRecords: fetched("web", "web:1", "web:2") });
    expect(sentences(current, app({ web: { image: "web:2", ...killFirst } }))).toEqual([
      "remove image web:1",
      "install and start web",
    ]);
  });

  test("it does not wait for the images of other services", () => {
    const current = device([running("web", "web:1", killFirst)], { locks: held("web") });
    expect(sentences(current, app({ web: { image: "web:2", ...killFirst }, db: "db:1" }))).toEqual([
      "fetch image db:1",
      "kill web (image: web:2 will be downloaded)",
    ]);
  });

  test("other services do not wait for its image", () => {
    const current = device([running("db", "db:1")], { images: ["db:2"], locks: held("db") });
    expect(sentences(current, app({ web: { image: "web:2", ...killFirst }, db: "db:2" }))).toEqual([
      "fetch image web:2",
      'kill db (image: "db:1" → "db:2")',
    ]);
  });

  test("a new configuration does not wait for the images of other services", () => {
    const current = device([running("web", "web:1", killFirst)], { locks: held("web") });
    expect(sentences(current, app({ web: { image: "web:1", user: "app", ...killFirst }, db: "db:1" }))).toEqual([
      "fetch image db:1",
      'kill web (user: "" → "app")',
    ]);
  });
});

describe("delete-then-download", () => {
  const wanted = app({ web: { image: "web:2", ...deleteFirst } });

  test("the container is killed before anything else", () => {
    const current = device([running("web", "web:1", deleteFirst)], { imageRecords: fetched("web", "web:1") });
    expect(sentences(current, wanted)).toEqual([
      "take the update locks of app 1",
      "… to kill web (image: web:2 will be downloaded)",
    ]);
  });

  test("then the old image is removed, before the new one is fetched", () => {
    const current = device([], { images: ["web:1"], imageRecords: fetched("web", "web:1"), localMode: true });
    expect(sentences(current, wanted)).toEqual(["remove image web:1"]);
  });

  test("then the new image is fetched", () => {
    const current = device([], { imageRecords: fetched("web", "web:1"), localMode: true });
    expect(sentences(current, wanted)).toEqual(["fetch image web:2"]);
  });

  test("an old image that another service uses stays", () => {
    const current = device([running("db", "web:1")], { imageRecords: fetched("web", "web:1") });
    expect(sentences(current, wanted, app({ db: "web:1" }, { appId: 2 }))).toContain("fetch image web:2");
  });

  test("an old image that is in another service's target stays", () => {
    const current = device([], { images: ["web:1"], imageRecords: fetched("web", "web:1") });
    expect(sentences(current, app({ web: { image: "web:2", ...deleteFirst }, db: "web:1" }))).toEqual([
      "fetch image web:2",
      "install and start db",
    ]);
  });

  test("an old image that the engine has refused to remove stays", () => {
    const current = device([], {
      images: ["web:1"],
      imageRecords: fetched("web", "web:1"),
      keptImages: new Set(["web:1"]),
    });
    expect(sentences(current, wanted)).toEqual(["fetch image web:2"]);
  });

  test("images of other services and applications do not count as old images of the service", () => {
    const current = device([], {
      images: ["db:1", "other:1"],
      imageRecords: [
        ...fetched("db", "db:1"),
        { name: "other:1", appId: 2, serviceName: "web", imageId: 1, dockerImageId: "other:1" },
      ],
      localMode: true,
    });
    expect(sentences(current, wanted)).toEqual(["fetch image web:2"]);
  });
});
