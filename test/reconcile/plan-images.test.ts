import { keptImageName } from "../../core/model/image.ts";
import { describe, expect, test } from "vitest";
import { app, device, downloading, fetched, held, image, prepared, running, sentences, times } from "./literals.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const web = running("web", "web:1");

describe("the image of a service", () => {
  test("is fetched when it is not here", () => {
    expect(sentences(device([]), app({ web: "web:1" }))).toEqual(["fetch image web:1"]);
  });

  test("is not fetched when it is here", () => {
    expect(sentences(device([], { images: ["web:1"] }), app({ web: "web:1" }))).toEqual(["install and start web"]);
  });

  test("without a tag is the latest", () => {
    expect(sentences(device([], { images: ["web:latest"] }), app({ web: "web" }))).toEqual(["install and start web"]);
  });

  test("is known by its digest", () => {
    const name = `registry.example/web@${digest("a")}`;
    expect(sentences(device([], { images: [image(name, "id")] }), app({ web: name }))).toEqual([
      "install and start web",
    ]);
    expect(sentences(device([], { images: [image("registry.example/web:1")] }), app({ web: name }))).toEqual([
      `fetch image ${name}`,
    ]);
  });

  test("with another digest is another image", () => {
    const [before, after] = [`web@${digest("a")}`, `web@${digest("b")}`];
    const current = device([running("web", "build-a")], {
      images: [image(before, "build-a"), image(after, "build-b")],
      locks: held("web"),
    });
    expect(sentences(current, app({ web: before }))).toEqual(["release the update locks of app 1"]);
    expect(sentences(current, app({ web: after }))).toEqual(['kill web (image: "build-a" → "build-b")']);
  });

  test("is another image after its tag has moved", () => {
    const current = device([running("web", "build-a")], { images: [image("web:1", "build-b")], locks: held("web") });
    expect(sentences(current, app({ web: "web:1" }))).toEqual(['kill web (image: "build-a" → "build-b")']);
  });

  test("is the same image under another tag", () => {
    const current = device([running("web", "id")], { images: [image("web:1", "id"), image("web:2", "id")] });
    expect(sentences(current, app({ web: "web:2" }))).toEqual([]);
  });

  test("whose tag is removed is fetched while the container runs on", () => {
    const current = device([running("web", "id")], { images: [{ id: "id", tags: [], digests: [] }] });
    expect(sentences(current, app({ web: "web:1" }))).toEqual(["fetch image web:1"]);
  });
});

describe("a download", () => {
  test("that runs is waited for", () => {
    expect(sentences(device([], { downloads: downloading("web:1") }), app({ web: "web:1" }))).toEqual([
      "wait for image web:1",
    ]);
  });

  const failed = (retryAt: number) => new Map([["web:1", { is: "failed", reason: "no space", retryAt } as const]]);

  test("that has failed is tried again later", () => {
    const current = device([], { downloads: failed(times.now + 1) });
    expect(sentences(current, app({ web: "web:1" }))).toEqual(["wait for another try to fetch web:1 (no space)"]);
  });

  test("that has failed is tried again after its pause", () => {
    const current = device([], { downloads: failed(times.now) });
    expect(sentences(current, app({ web: "web:1" }))).toEqual(["fetch image web:1"]);
  });
});

describe("an image that no release uses any more", () => {
  const old = { images: ["web:0"], imageRecords: fetched("web", "web:0", "web:1") };
  const release = app({ web: "web:1" });

  test("is removed", () => {
    expect(sentences(device([web], old), release)).toEqual(["remove image web:0"]);
  });

  test("is removed once, although several services used it", () => {
    const imageRecords = [...fetched("web", "web:0"), ...fetched("db", "web:0")];
    expect(sentences(device([web], { ...old, imageRecords }), release)).toEqual(["remove image web:0"]);
  });

  test("loses the second name of a committed release, also if nobody remembers that it was given", () => {
    const kept = keptImageName("web:0");
    const current = device([web], { images: [image("web:1"), image("web:0"), image(kept, "web:0"), image("other:1")] });
    expect(sentences(current, release)).toEqual([`remove image ${kept}`]);
  });

  test("is removed during other downloads", () => {
    const current = device([web], { ...old, downloads: downloading("db:1") });
    expect(sentences(current, app({ web: "web:1", db: "db:1" }))).toEqual([
      "remove image web:0",
      "wait for image db:1",
    ]);
  });

  test("stays while a container uses it", () => {
    const current = device([running("web", "web:0")], { images: ["web:1"], imageRecords: fetched("web", "web:0") });
    expect(sentences(current, release)).not.toContain("remove image web:0");
  });

  test("stays while a container uses it that an update has created before its start", () => {
    const current = device([web], { ...old, prepared: [prepared("web", "web:0")] });
    expect(sentences(current, release)).toEqual(["remove the prepared container of web"]);
  });

  test("stays while a container uses it under another name", () => {
    const current = device([running("web", "id")], {
      images: [image("web:0", "id"), image("web:1", "id")],
      imageRecords: fetched("web", "web:0", "web:1"),
    });
    expect(sentences(current, release)).toEqual([]);
  });

  test("stays in local mode", () => {
    expect(sentences(device([web], { ...old, localMode: true }), release)).toEqual([]);
  });

  test("stays if it was not fetched for a service", () => {
    expect(sentences(device([web], { ...old, imageRecords: [] }), release)).toEqual([]);
  });

  test("stays if a container of another program uses it", () => {
    expect(sentences(device([web], { ...old, keptImages: new Set(["web:0"]) }), release)).toEqual([]);
  });

  test("that is removed already is forgotten", () => {
    expect(sentences(device([web], { ...old, images: [] }), release)).toEqual(["remove image web:0"]);
  });
});
