import { describe, expect, test } from "vitest";
import {
  containerName,
  handOverName,
  isHandingOver,
  networkName,
  parseContainerName,
  volumeName,
} from "../../core/model/names.ts";

describe("names on the engine", () => {
  test("contain the ids of their application or release", () => {
    expect(containerName("one", 2, 3, "c1")).toBe("one_2_3_c1");
    expect(handOverName("one_2_3_c1")).toBe("old_one_2_3_c1");
    expect(networkName("u1", "front")).toBe("u1_front");
    expect(volumeName(1, "data")).toBe("1_data");
  });

  test.each([
    ["one", "one_2_3_c1", { imageId: 2, releaseId: 3, commit: "c1" }],
    ["one", "one_2_3_", { imageId: 2, releaseId: 3, commit: "" }],
    ["one", "one_2_3", { imageId: 2, releaseId: 3, commit: "" }],
    ["one", "one_2_3_c_1", { imageId: 2, releaseId: 3, commit: "c_1" }],
    ["one", "old_one_2_3_c1", { imageId: 2, releaseId: 3, commit: "c1" }],
    ["my_one", "my_one_2_3_c1", { imageId: 2, releaseId: 3, commit: "c1" }],
    ["one_1", "one_1_2_3_c1", { imageId: 2, releaseId: 3, commit: "c1" }],
    ["old_one", "old_one_2_3_c1", { imageId: 2, releaseId: 3, commit: "c1" }],
    ["old_one", "old_old_one_2_3_c1", { imageId: 2, releaseId: 3, commit: "c1" }],
    ["alpha", "alpha_1_1_10ca12e1ea5e", { imageId: 1, releaseId: 1, commit: "10ca12e1ea5e" }],
    ["one", "two_2_3_c1", undefined],
    ["one", "one", undefined],
    ["one", "one_2", undefined],
    ["one", "one_a_b_c1", undefined],
    ["one", "my-one_2_3_c1", undefined],
    ["one", "older_one_2_3_c1", undefined],
  ])("of the service %s, %s contains %j", (service, name, ids) => {
    expect(parseContainerName(name, service)).toEqual(ids);
  });

  test.each([
    ["one", "old_one_2_3_c1", true],
    ["one", "one_2_3_c1", false],
    ["old_one", "old_one_2_3_c1", false],
    ["old_one", "old_old_one_2_3_c1", true],
    ["one", "old_two_2_3_c1", false],
  ])("of the service %s, %s is handing over: %s", (service, name, expected) => {
    expect(isHandingOver({ service, name })).toBe(expected);
  });

  test.each(["one", "my_one", "one_1", "old_one", "a.b-c"])(
    "of %s are parsed to the values that they were made of",
    (service) => {
      const name = containerName(service, 22, 333, "10ca12e1ea5e");
      const ids = { imageId: 22, releaseId: 333, commit: "10ca12e1ea5e" };
      expect(parseContainerName(name, service)).toEqual(ids);
      expect(parseContainerName(handOverName(name), service)).toEqual(ids);
      expect(isHandingOver({ service, name })).toBe(false);
      expect(isHandingOver({ service, name: handOverName(name) })).toBe(true);
    },
  );
});
