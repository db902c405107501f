import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { ofAgent, ofApps, ofHost, ofUse } from "../../core/metrics/families.ts";
import type { Family } from "../../core/metrics/family.ts";
import { service, settled, target } from "../../test/node/on-the-device.ts";
import { startAgent } from "../../test/node/program.ts";
import { temporaryFolder } from "../../test/node/temporary-folder.ts";
import { noPrometheus, promtool, startPrometheus } from "../../test/support/prometheus.ts";

/** The files of this folder, and the expressions of docs/metrics.md, with Debian's Prometheus on a running agent. */

const here = import.meta.dirname;
const textOf = (file: string) => readFileSync(join(here, file), "utf8");

const Dashboard = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })) })),
});
const panels = Dashboard.parse(JSON.parse(textOf("dashboard.json"))).panels;
const ofPanels = panels.flatMap(({ title, targets }) => targets.map(({ expr }): [string, string] => [title, expr]));
const ofPage = [...textOf("../../docs/metrics.md").matchAll(/^\| [^`|]+ \| `(.+)`\s*\|$/gm)].map(([, found = ""]) =>
  found.replace(/\\\|/g, "|"),
);
const ofAlerts = [...textOf("alerts.yml").matchAll(/expr: (.*)/g)].map(([, found = ""]) => found);

const families = [ofAgent, ofHost, ofApps, ofUse].flatMap((of) => Object.values<Family>(of));
const names = families.flatMap(({ name, type }) =>
  type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
);

test("every metric of the dashboard, the alerts and the page exists", () => {
  const expressions = [...ofPanels.map(([, expr]) => expr), ...ofPage, ...ofAlerts];
  expect([ofPage.length, ofAlerts.length]).toEqual([8, 6]);
  const named = expressions.flatMap((text) => text.match(/\b(?:fairlead|process)_\w+/g) ?? []);
  expect(named.filter((name) => !names.includes(name))).toEqual([]);
});

describe.skipIf(noPrometheus !== undefined)("Prometheus", () => {
  test("takes the configuration and the alerts", async () => {
    expect(await promtool(["check", "config", join(here, "prometheus.yml")])).toMatchObject({ code: 0 });
  });

  test("takes every line of an agent, and every expression", async () => {
    const agent = await startAgent(await temporaryFolder());
    await agent.post("/v2/local/target-state", target([service("one", 1), service("two", 2)]));
    expect(await settled(agent)).toEqual(["one Running", "two Running"]);
    const text = await (await agent.get("/metrics?collect=containers")).text();
    expect(await promtool(["check", "metrics"], text)).toEqual({ code: 0, said: "" });

    const { targets, query } = await startPrometheus(new URL(agent.url).host, { collect: ["containers"] });
    expect(await targets()).toEqual([{ health: "up", lastError: "" }]);
    expect(await query('fairlead_service_state{state="running"} == 1')).toHaveLength(2);
    expect(await query("fairlead_service_memory_used_bytes")).toHaveLength(2);
    expect(await query("process_resident_memory_bytes > 1e7")).toHaveLength(1);
    for (const [title, expr] of ofPanels) {
      const expression = expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "1m");
      await expect(query(expression), title).resolves.toBeInstanceOf(Array);
    }
    for (const expression of [...ofPage, ...ofAlerts]) await expect(query(expression)).resolves.toBeInstanceOf(Array);
    const stats = ofPanels.filter(([title]) => ["Answers", "Engine", "Target reached", "Problems"].includes(title));
    for (const [title, expr] of stats) expect(await query(expr.replaceAll("$instance", ".*")), title).toHaveLength(1);
  });
});
