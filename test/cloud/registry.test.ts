import { describe, expect, test } from "vitest";
import { cloudRegistry, deviceCredentials } from "../../core/cloud/registry.ts";

describe("the registry of a cloud is", () => {
  test.each<[string, { registryEndpoint?: string; apiEndpoint?: string }, string | undefined]>([
    [
      "the one that config.json names",
      { registryEndpoint: "registry2.balena-cloud.com" },
      "registry2.balena-cloud.com",
    ],
    [
      "whatever the API is called",
      { registryEndpoint: "https://Registry.example.com/", apiEndpoint: "https://api.other.example" },
      "registry.example.com",
    ],
    ["with its port", { registryEndpoint: "127.0.0.1:5000" }, "127.0.0.1:5000"],
    [
      "without it, the one beside the API",
      { apiEndpoint: "https://api.balena-cloud.com" },
      "registry2.balena-cloud.com",
    ],
    ["also that of openBalena", { apiEndpoint: "https://api.devices.example.org/" }, "registry2.devices.example.org"],
    ["none if the name does not contain it", { apiEndpoint: "https://fairlead.example.workers.dev" }, undefined],
    ["none for a top level domain", { apiEndpoint: "https://api.com" }, undefined],
    ["none for an API without TLS", { apiEndpoint: "http://api.example.com" }, undefined],
    ["none for an API on another port number", { apiEndpoint: "https://api.example.com:8443" }, undefined],
    ["none for an API below a path", { apiEndpoint: "https://api.example.com/cloud" }, undefined],
    [
      "none that is no host",
      { registryEndpoint: "user:pass@host/x", apiEndpoint: "https://api.example.com" },
      undefined,
    ],
    ["none without a cloud", {}, undefined],
  ])("%s", (_, config, registry) => {
    expect(cloudRegistry(config)).toBe(registry);
  });
});

describe("the device's key", () => {
  const device = { registry: "registry2.example.com", uuid: "aaaa", key: "the key" };
  const ours = { username: "d_aaaa", password: "the key" };

  test.each([
    "registry2.example.com/v2/0123456789abcdef:latest",
    "registry2.example.com/v2/0123456789abcdef@sha256:00",
    "Registry2.Example.com/v2/x:latest",
  ])("is sent to the registry of %s", (image) => {
    expect(deviceCredentials(image, device)).toEqual(ours);
  });

  test.each([
    "registry2.example.com.evil.example/v2/x:latest",
    "evil.example/registry2.example.com/x:latest",
    "registry2.example.com:444/v2/x:latest",
    "registry2-example.com/v2/x:latest",
    "sub.registry2.example.com/v2/x:latest",
    "example.com/v2/x:latest",
    "registry2.example.com:latest",
    "busybox:latest",
    "library/busybox:latest",
    "",
  ])("is not sent to the registry of %j", (image) => {
    expect(deviceCredentials(image, device)).toBeUndefined();
  });

  test("is not sent if the cloud has no registry or the device has no key yet", () => {
    expect(deviceCredentials("busybox:latest", { ...device, registry: undefined })).toBeUndefined();
    expect(deviceCredentials("registry2.example.com/v2/x:latest", { ...device, key: undefined })).toBeUndefined();
  });
});
