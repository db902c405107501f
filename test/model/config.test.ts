import { describe, expect, test } from "vitest";
import { bareConfig, fullConfig, isOn, numberOf } from "../../core/model/config.ts";

describe("config variables", () => {
  test("lose the prefixes of the cloud", () => {
    expect(
      bareConfig({
        RESIN_SUPERVISOR_POLL_INTERVAL: "1",
        BALENA_HOST_FIREWALL_MODE: "on",
        SUPERVISOR_DELTA: "true",
        RESIN_OVERRIDE_LOCK: "1",
        MY_RESIN_X: "2",
      }),
    ).toEqual({
      SUPERVISOR_POLL_INTERVAL: "1",
      HOST_FIREWALL_MODE: "on",
      SUPERVISOR_DELTA: "true",
      SUPERVISOR_OVERRIDE_LOCK: "1",
      MY_RESIN_X: "2",
    });
  });

  test("have defaults", () => {
    expect(fullConfig({})).toMatchObject({ SUPERVISOR_LOCAL_MODE: "false", SUPERVISOR_POLL_INTERVAL: "900000" });
    expect(fullConfig({ SUPERVISOR_LOCAL_MODE: "1", FOO: "x" })).toMatchObject({
      SUPERVISOR_LOCAL_MODE: "1",
      FOO: "x",
    });
  });

  test.each([
    [{}, false],
    [{ SUPERVISOR_OVERRIDE_LOCK: "1" }, true],
    [{ SUPERVISOR_OVERRIDE_LOCK: "true" }, true],
    [{ SUPERVISOR_OVERRIDE_LOCK: "0" }, false],
    [{ SUPERVISOR_OVERRIDE_LOCK: "" }, false],
  ])("with %j the lock override is on: %s", (config, on) => {
    expect(isOn(config, "SUPERVISOR_OVERRIDE_LOCK")).toBe(on);
  });

  test.each([
    [{}, 900_000],
    [{ SUPERVISOR_POLL_INTERVAL: "600000" }, 600_000],
    [{ SUPERVISOR_POLL_INTERVAL: "0" }, 0],
    [{ SUPERVISOR_POLL_INTERVAL: "" }, 900_000],
    [{ SUPERVISOR_POLL_INTERVAL: "often" }, 900_000],
    [{ SUPERVISOR_POLL_INTERVAL: "-1" }, 900_000],
    [{ SUPERVISOR_POLL_INTERVAL: "Infinity" }, 900_000],
  ])("with %j the poll interval is %d ms", (config, ms) => {
    expect(numberOf(config, "SUPERVISOR_POLL_INTERVAL")).toBe(ms);
  });
});
