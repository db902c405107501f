import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findImage, parseImage } from "../../core/model/image.ts";

const digest = `sha256:${"ab".repeat(32)}`;

describe("an image's normalized reference", () => {
  test.each([
    ["alpine", "alpine:latest"],
    ["alpine:latest", "alpine:latest"],
    ["alpine:3.20", "alpine:3.20"],
    ["alpine:3.20-alpha_2", "alpine:3.20-alpha_2"],
    ["alpine:_x", "alpine:_x"],
    ["library/alpine", "alpine:latest"],
    ["docker.io/alpine", "alpine:latest"],
    ["docker.io/library/alpine:3", "alpine:3"],
    ["docker.io/balena/open-balena", "balena/open-balena:latest"],
    ["balena/open-balena", "balena/open-balena:latest"],
    ["a/b/c/d:e", "a/b/c/d:e"],
    ["local_image_alpha:latest", "local_image_alpha:latest"],
    ["local_alpha", "local_alpha:latest"],
    ["a__b", "a__b:latest"],
    ["a--b---c", "a--b---c:latest"],
    ["a.b", "a.b:latest"],
    ["my_org/x", "my_org/x:latest"],
    ["localhost/x", "localhost/x:latest"],
    ["localhost:5000/x", "localhost:5000/x:latest"],
    ["registry:5000/x", "registry:5000/x:latest"],
    ["registry:5000/library/x:1", "registry:5000/library/x:1"],
    ["127.0.0.1:5000/x:1", "127.0.0.1:5000/x:1"],
    ["Registry.Example.COM/x", "Registry.Example.COM/x:latest"],
    ["registry2.balena-cloud.com/v2/0123456789abcdef", "registry2.balena-cloud.com/v2/0123456789abcdef:latest"],
    [`alpine@${digest}`, `alpine@${digest}`],
    [`docker.io/library/alpine@${digest}`, `alpine@${digest}`],
    [`registry:5000/x@${digest}`, `registry:5000/x@${digest}`],
    // With both, the digest decides.
    [`alpine:3.20@${digest}`, `alpine@${digest}`],
    [`registry:5000/x:1@${digest}`, `registry:5000/x@${digest}`],
  ])("%s is %s", (written, name) => {
    expect(parseImage(written)).toEqual({ name });
  });

  test.each([
    ["user:hunter2@registry.example.com/x", "registry.example.com/x:latest"],
    ["user:hunter2@registry.example.com/x:1", "registry.example.com/x:1"],
    ["user:hunter2@registry:5000/x:1", "registry:5000/x:1"],
    [`user:hunter2@registry:5000/x@${digest}`, `registry:5000/x@${digest}`],
  ])("%s has credentials, which are not a part of its name", (written, name) => {
    expect(parseImage(written)).toEqual({ name, auth: { username: "user", password: "hunter2" } });
  });

  test.each([
    "",
    " ",
    "a b",
    "alpine:",
    ":latest",
    "alpine:.x",
    "alpine:-x",
    `alpine:${"t".repeat(129)}`,
    "alpine@",
    "alpine@sha256:ab",
    `alpine@sha256:${"AB".repeat(32)}`,
    "alpine@md5:0123",
    "Alpine",
    "docker.io/library/Alpine",
    "balena/Open",
    "-a",
    "a-",
    "-a/b",
    "a//b",
    "/a",
    "a/",
    "a..b",
    "a___b",
    "http://registry/x",
    "registry:port/x",
    "user@registry/x",
    "alpine\n",
    "alpine:1\n",
  ])("%j is invalid", (written) => {
    expect(parseImage(written)).toBeUndefined();
  });

  test("does not change when it is parsed again", () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,4}$/);
    const path = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join("/"));
    const host = fc.constantFrom("", "docker.io/", "registry:5000/", "example.com/");
    const version = fc.constantFrom("", ":1", `@${digest}`, `:1@${digest}`);
    fc.assert(
      fc.property(host, path, version, (registry, repository, end) => {
        const once = parseImage(registry + repository + end);
        expect(once).toBeDefined();
        expect(once && parseImage(once.name)).toEqual(once);
      }),
    );
  });

  test("never shows a password", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9!$%]{8,12}$/), (password) => {
        expect(parseImage(`user:${password}@registry.example.com/x:1`)?.name).toBe("registry.example.com/x:1");
      }),
    );
  });
});

describe("an image on the engine", () => {
  const images = [
    { id: "sha256:1", tags: ["alpine:3", "alpine:latest"], digests: [`alpine@${digest}`] },
    { id: "sha256:2", tags: [], digests: ["other@sha256:cd"] },
  ];

  test.each([
    ["alpine:latest", "sha256:1"],
    ["alpine:3", "sha256:1"],
    [`alpine@${digest}`, "sha256:1"],
    ["other@sha256:cd", "sha256:2"],
    ["alpine:4", undefined],
    ["alpine", undefined],
    [`beta@${digest}`, undefined],
  ])("with the name %s is %s", (name, id) => {
    expect(findImage(images, name)?.id).toBe(id);
  });
});
