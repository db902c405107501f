import { expect, test } from "vitest";
import { variableWarnings } from "../../runtimes/cli/cloud/variables.ts";

test("a variable for updates has a warning if its value is wrong, and if only services would get it", () => {
  expect(
    variableWarnings({
      RESIN_SUPERVISOR_UPDATE_DEADLINE: "1 day",
      BALENA_SUPERVISOR_UPDATE_WINDOWS: "02:00-04:00",
      SUPERVISOR_UPDATE_WINDOW: "02:00-04:00",
      RESIN_SUPERVISOR_UPDATE_WINDOW: "02:00-04:00",
      RESIN_SUPERVISOR_POLL_INTERVAL: "1 day",
      MODE: "night",
    }),
  ).toEqual([
    'RESIN_SUPERVISOR_UPDATE_DEADLINE: expected a duration such as 30s or 5m, but got "1 day"; the default is used',
    'BALENA_SUPERVISOR_UPDATE_WINDOWS: not known; did you mean "SUPERVISOR_UPDATE_WINDOW"?',
    "SUPERVISOR_UPDATE_WINDOW: services get this variable; to configure the device, set RESIN_SUPERVISOR_UPDATE_WINDOW",
  ]);
});
