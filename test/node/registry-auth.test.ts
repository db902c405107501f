import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pullAuth, registryAuth, registryOf } from "../../runtimes/node/engine/registry-auth.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const hub = "https://index.docker.io/v1/";

test.each([
  ["alpine:latest", hub],
  ["balena/open-balena:1", hub],
  ["my_org/x", hub],
  ["localhost/x:1", "localhost"],
  ["localhost:5000/x:1", "localhost:5000"],
  ["registry:5000/x:1", "registry:5000"],
  ["ghcr.io/owner/x:1", "ghcr.io"],
  ["registry2.balena-cloud.com/v2/abc@sha256:00", "registry2.balena-cloud.com"],
])("%s comes from %s", (name, registry) => {
  expect(registryOf(name)).toBe(registry);
});

const encoded = (text: string) => Buffer.from(text).toString("base64");

async function loggedIn(config: unknown) {
  const folder = await temporaryFolder();
  await writeFile(join(folder, "config.json"), typeof config === "string" ? config : JSON.stringify(config));
  return folder;
}

describe("credentials", () => {
  test("are those of the image's registry", async () => {
    const folder = await loggedIn({
      auths: {
        [hub]: { auth: encoded("hub-user:hub-password") },
        "registry:5000": { auth: encoded("user:password") },
        "ghcr.io": { auth: encoded("other:secret") },
      },
      credsStore: "desktop",
    });
    expect(registryAuth("registry:5000/x:1", folder)).toEqual({
      username: "user",
      password: "password",
      serveraddress: "registry:5000",
    });
    expect(registryAuth("alpine:latest", folder)).toEqual({
      username: "hub-user",
      password: "hub-password",
      serveraddress: hub,
    });
    expect(registryAuth("ghcr.io/owner/x:1", folder)).toMatchObject({ username: "other" });
    expect(registryAuth("quay.io/x:1", folder)).toBeUndefined();
  });

  test.each([
    "registry.example.com",
    "https://registry.example.com",
    "https://registry.example.com/v1/",
    "http://registry.example.com/v2/",
  ])("are found under %s", async (key) => {
    const folder = await loggedIn({ auths: { [key]: { auth: encoded("user:password") } } });
    expect(registryAuth("registry.example.com/x:1", folder)).toMatchObject({ username: "user" });
  });

  test("may have a password with colons and other special characters", async () => {
    const folder = await loggedIn({ auths: { "ghcr.io": { auth: encoded("user:pä:ss\nword:") } } });
    expect(registryAuth("ghcr.io/x", folder)).toMatchObject({ username: "user", password: "pä:ss\nword:" });
  });

  test("may be a token", async () => {
    const folder = await loggedIn({ auths: { "ghcr.io": { auth: encoded("user:"), identitytoken: "token" } } });
    expect(registryAuth("ghcr.io/x", folder)).toEqual({ identitytoken: "token", serveraddress: "ghcr.io" });
  });

  test.each<[string, unknown]>([
    ["without a login", {}],
    ["with no registry", { auths: {} }],
    ["whose credentials are kept elsewhere", { auths: { "ghcr.io": {} }, credsStore: "desktop" }],
    ["with an empty entry", { auths: { "ghcr.io": { auth: "" } } }],
    ["that is no JSON", "{"],
    ["that is empty", ""],
    ["of another form", { auths: ["ghcr.io"] }],
    ["that is a list", []],
  ])("are not found in a file %s", async (_, config) => {
    expect(registryAuth("ghcr.io/x", await loggedIn(config))).toBeUndefined();
  });

  test("are not found if there is no file", async () => {
    expect(registryAuth("ghcr.io/x", await temporaryFolder())).toBeUndefined();
    expect(registryAuth("ghcr.io/x", "/nonexistent")).toBeUndefined();
  });
});

test("an image is pulled with the credentials of its reference, else of its registry, else of the device", async () => {
  const folder = await loggedIn({ auths: { "registry:5000": { auth: encoded("user:password") } } });
  const [name, fallback] = ["registry:5000/x:1", { username: "d_aaaa", password: "key" }];
  const auth = { username: "written", password: "into it" };
  expect(pullAuth({ name, auth, fallback }, folder)).toEqual(auth);
  expect(pullAuth({ name, fallback }, folder)).toMatchObject({ username: "user" });
  expect(pullAuth({ name: "registry:6000/x:1", fallback }, folder)).toEqual({
    ...fallback,
    serveraddress: "registry:6000",
  });
  expect(pullAuth({ name: "registry:6000/x:1" }, folder)).toBeUndefined();
});
