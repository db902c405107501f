import { describe, expect, test } from "vitest";
import { pinImages } from "../../runtimes/cli/compose/pin-images.ts";
import type { Platform, RegistryAnswer } from "../../runtimes/cli/compose/registry.ts";

const digest = `sha256:${"d".repeat(64)}`;
const found = (...platforms: Platform[]): RegistryAnswer => ({ is: "found", digest, platforms });
const linux = (architecture: string, variant?: string): Platform => ({ os: "linux", architecture, variant });

const pin = (image: unknown, answer: RegistryAnswer, deviceType = "raspberrypi4-64") =>
  pinImages({ services: { web: { image, init: true } } }, deviceType, async () => answer);

describe("an image of a release", () => {
  test.each([
    ["web:1.2", `web:1.2@${digest}`],
    ["web", `web:latest@${digest}`],
    ["127.0.0.1:5000/team/web", `127.0.0.1:5000/team/web:latest@${digest}`],
    ["docker.io/library/web:1", `docker.io/library/web:1@${digest}`],
    [`web@${digest}`, `web@${digest}`],
  ])("%s is released as %s", async (image, pinned) => {
    expect(await pin(image, found())).toEqual({
      composition: { services: { web: { image: pinned, init: true } } },
      faults: [],
      warnings: [],
    });
  });

  test("that is in no registry is a fault", async () => {
    expect((await pin("web:1", { is: "missing" })).faults).toEqual(["services.web.image: Docker Hub has no web:1"]);
    expect((await pin("r.example/web:1", { is: "missing" })).faults).toEqual([
      "services.web.image: r.example has no r.example/web:1",
    ]);
  });

  test("that cannot be looked up stays, with a warning", async () => {
    const answer: RegistryAnswer = { is: "unreachable", reason: "connect ECONNREFUSED" };
    expect(await pin("web:1", answer)).toEqual({
      composition: { services: { web: { image: "web:1", init: true } } },
      faults: [],
      warnings: ["services.web.image: web:1 is not looked up, and not named by its digest: connect ECONNREFUSED"],
    });
  });

  test("that is none is for the cloud to refuse", async () => {
    for (const image of [3, "No Image", "user:password@r.example/web:1"])
      expect((await pin(image, { is: "missing" })).faults).toEqual([]);
  });

  test("is asked for once, however many services have it", async () => {
    const asked: string[] = [];
    const services = { a: { image: "web:1" }, b: { image: "library/web:1" } };
    await pinImages({ services }, "generic-amd64", async (name) => {
      asked.push(name);
      return found();
    });
    expect(asked).toEqual(["web:1"]);
  });
});

describe("the architecture of an image", () => {
  test.each([
    ["raspberrypi4-64", [linux("arm64", "v8")]],
    ["raspberrypi4-64", [linux("arm", "v7")]],
    ["raspberrypi5", [linux("amd64"), linux("arm64")]],
    ["jetson-nano", [linux("arm64")]],
    ["raspberrypi3", [linux("arm", "v7")]],
    ["raspberrypi3", [linux("arm")]],
    ["raspberry-pi", [linux("arm", "v6")]],
    ["generic-amd64", [linux("amd64")]],
    ["genericx86-64-ext", [linux("amd64")]],
    ["a board that nobody knows", [linux("riscv64")]],
  ])("%s runs it: %j", async (deviceType, platforms) => {
    expect((await pin("web:1", found(...platforms), deviceType)).faults).toEqual([]);
  });

  test.each([
    ["raspberrypi4-64", [linux("amd64")], "linux/amd64", "linux/arm64"],
    ["raspberry-pi", [linux("arm", "v7"), linux("arm64")], "linux/arm/v7, linux/arm64", "linux/arm"],
    ["generic-amd64", [linux("arm64", "v8")], "linux/arm64/v8", "linux/amd64"],
    ["genericx86-64-ext", [linux("arm64")], "linux/arm64", "linux/amd64"],
    ["raspberrypi4-64", [{ os: "windows", architecture: "arm64" }], "windows/arm64", "linux/arm64"],
  ])("%s does not run it: %j", async (deviceType, platforms, has, wanted) => {
    expect((await pin("web:1", found(...platforms), deviceType)).faults).toEqual([
      `services.web.image: web:1 is for ${has}; devices of type ${deviceType} run ${wanted}`,
    ]);
  });
});
