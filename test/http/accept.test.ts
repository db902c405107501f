import { expect, test } from "vitest";
import { preferredOf } from "../../core/http/accept.ts";

const offered = ["text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"] as const;
const [text, open] = offered;

test.each([
  [null, text],
  ["*/*", text],
  ["", text],
  ["text/*", text],
  ["application/json", text],
  ["application/openmetrics-text", open],
  ["APPLICATION/OpenMetrics-Text; version=1.0.0", open],
  // Prometheus 2.42, 2.5x and 3.
  [
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    open,
  ],
  [
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    open,
  ],
  ["text/plain, application/openmetrics-text;q=0.5", text],
  ["application/openmetrics-text;q=0, */*;q=0.1", text],
  ["application/openmetrics-text;q=x, text/plain;q=0.1", text],
  ["application/*;q=0.9, text/plain;q=0.2", open],
])("Accept: %s", (accept, expected) => {
  expect(preferredOf(offered, accept)).toBe(expected);
});
