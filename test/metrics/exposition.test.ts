import fc from "fast-check";
import { expect, test } from "vitest";
import { render, type Reading } from "../../core/metrics/exposition.ts";
import { ofAgent, ofApps } from "../../core/metrics/families.ts";
import { readExposition } from "./read-exposition.ts";

const readings: readonly Reading[] = [
  { family: ofAgent.build, samples: [{ labels: { version: "1" }, value: 1 }] },
  { family: ofAgent.cpu, samples: [{ labels: {}, value: 1.5 }] },
  { family: ofAgent.calls, samples: [{ labels: { operation: "look" }, bounds: [0.1, 2], counts: [1, 2, 3], sum: 9 }] },
  { family: ofApps.health, samples: [] },
];

const samples = `fairlead_engine_call_duration_seconds_bucket{operation="look",le="0.1"} 1
fairlead_engine_call_duration_seconds_bucket{operation="look",le="2.0"} 3
fairlead_engine_call_duration_seconds_bucket{operation="look",le="+Inf"} 6
fairlead_engine_call_duration_seconds_sum{operation="look"} 9
fairlead_engine_call_duration_seconds_count{operation="look"} 6
`;

test("in the text format, a family is named as its samples", () => {
  expect(render(readings, "text")).toBe(`# HELP fairlead_build_info ${ofAgent.build.help}
# TYPE fairlead_build_info gauge
fairlead_build_info{version="1"} 1
# HELP process_cpu_seconds_total ${ofAgent.cpu.help}
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.5
# HELP fairlead_engine_call_duration_seconds ${ofAgent.calls.help}
# TYPE fairlead_engine_call_duration_seconds histogram
${samples}`);
});

test("in OpenMetrics, a family has its unit and no suffix, and the text has an end", () => {
  expect(render(readings, "openMetrics")).toBe(`# HELP fairlead_build ${ofAgent.build.help}
# TYPE fairlead_build info
fairlead_build_info{version="1"} 1
# HELP process_cpu_seconds ${ofAgent.cpu.help}
# TYPE process_cpu_seconds counter
# UNIT process_cpu_seconds seconds
process_cpu_seconds_total 1.5
# HELP fairlead_engine_call_duration_seconds ${ofAgent.calls.help}
# TYPE fairlead_engine_call_duration_seconds histogram
# UNIT fairlead_engine_call_duration_seconds seconds
${samples}# EOF
`);
});

test("a label's value is read as it was, whatever it contains", () => {
  const unit = fc.constantFrom('"', "\\", "\n", "\r", "\0", "n", "a", "1", ",", "=", "{", "}", " ", "#", "é", "😀");
  const anyText = fc.string({ unit, maxLength: 20 });
  fc.assert(
    fc.property(anyText, anyText, (app, release) => {
      const text = render([{ family: ofApps.app, samples: [{ labels: { app, release }, value: 1 }] }], "text");
      expect(readExposition(text)).toEqual([{ name: "fairlead_app_info", labels: { app, release }, value: 1 }]);
    }),
  );
});
