import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { noBrowser } from "../support/chromium.ts";
import { createNamespace, noNamespaces, removeNamespace } from "../support/namespaces.ts";

/** A board where there is no other machine: all of its page comes from itself. */
describe.skipIf(noBrowser !== undefined || noNamespaces !== undefined)("without any network", () => {
  test("every screen is whole", async () => {
    const namespace = await createNamespace();
    onTestFinished(() => removeNamespace(namespace));
    const tsx = join(import.meta.dirname, "../../node_modules/.bin/tsx");
    const shown = await namespace.must(tsx, join(import.meta.dirname, "offline-board.ts"));
    expect(JSON.parse(shown)).toEqual({
      ...{ asked: ["the board"], faults: [] },
      screens: { "": "Device", logs: "Logs", update: "Update", figures: "Figures", target: "Target", host: "Host" },
    });
  }, 120_000);
});
