import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { noPrometheus, promtool, startPrometheus } from "../support/prometheus.ts";
import { agentOnEngine, docker, target } from "./on-the-engine.ts";

describe.skipIf(noDocker !== undefined || noPrometheus !== undefined)("Prometheus", () => {
  beforeAll(() => makeImage(docker, "local_image_one:latest"));

  test("scrapes an agent on an engine, with what its services use", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image: "local_image_one:latest" } }));
    await agent.settled();
    expect(await promtool(["check", "metrics"], await (await agent.get("/metrics")).text())).toEqual({
      code: 0,
      said: "",
    });
    const { targets, query } = await startPrometheus(new URL(agent.url).host, { collect: ["containers"] });
    expect(await targets()).toEqual([{ health: "up", lastError: "" }]);
    expect(await query('fairlead_service_state{service="one",state="running"} == 1')).toHaveLength(1);
    expect(await query('fairlead_service_memory_used_bytes{service="one"} > 1e4')).toHaveLength(1);
    expect(await query('fairlead_steps_total{action="install",outcome="done"} >= 1')).toHaveLength(1);
    expect(await query('fairlead_engine_call_duration_seconds_count{operation="createContainer"} >= 1')).toHaveLength(
      1,
    );
  });
});
