import { describe, expect, test } from "vitest";
import { unmetRequirement, type RequirementFacts } from "../../core/compose/requirements.ts";
import { body, entry, facts, read } from "./read.ts";

const unmet = (requires: unknown, more: Partial<RequirementFacts> = {}) =>
  unmetRequirement({ type: "sw.container", slug: "one", requires }, { ...facts, ...more });

describe("a device meets", () => {
  test.each<[unknown]>([
    [undefined],
    [[]],
    ["nonsense"],
    [[{ type: "sw.supervisor" }]],
    [[{ type: "sw.supervisor", version: ">=10.0.0" }]],
    [[{ type: "sw.supervisor", version: "19.x" }]],
    [[{ type: "sw.supervisor", version: "19.0.5" }]],
    [[{ type: "hw.device-type", slug: "raspberrypi4-64" }]],
    [[{ type: "arch.sw", slug: "aarch64" }]],
    [[{ type: "sw.os", slug: "debian" }]],
    [[{ type: "sw.os", slug: "debian", version: ">=12" }]],
    [[{ type: "sw.os", version: "12" }]],
    [[{ type: "sw.kernel", version: ">=6.1.0" }]],
    [[{ type: "sw.kernel", version: ">=5 <7" }]],
    [
      [
        {
          or: [
            { type: "arch.sw", slug: "amd64" },
            { type: "arch.sw", slug: "aarch64" },
          ],
        },
      ],
    ],
    [[{ not: [{ type: "arch.sw", slug: "amd64" }] }]],
    [
      [
        { type: "arch.sw", slug: "aarch64" },
        { type: "sw.supervisor", version: ">1" },
      ],
    ],
  ])("%j", (requires) => {
    expect(unmet(requires)).toBeUndefined();
  });
});

describe("a device does not meet", () => {
  test.each<[object]>([
    [{ type: "sw.supervisor", version: ">=99.0.0" }],
    [{ type: "sw.supervisor", version: "<19" }],
    [{ type: "sw.supervisor", version: "banana" }],
    [{ type: "hw.device-type", slug: "raspberrypi3" }],
    [{ type: "arch.sw", slug: "amd64" }],
    [{ type: "sw.os", slug: "balenaos" }],
    [{ type: "sw.os", slug: "debian", version: ">=13" }],
    [{ type: "sw.kernel", version: "<6" }],
    [{ type: "sw.l4t", version: ">=32" }],
    [{ type: "sw.teleport" }],
    [{ slug: "aarch64" }],
    [
      {
        or: [
          { type: "arch.sw", slug: "amd64" },
          { type: "arch.sw", slug: "i386" },
        ],
      },
    ],
    [{ or: [] }],
    [{ not: [{ type: "arch.sw", slug: "aarch64" }] }],
  ])("%j", (requirement) => {
    expect(unmet([{ type: "arch.sw", slug: "aarch64" }, requirement])).toBe(
      `this device does not meet ${JSON.stringify(requirement)}`,
    );
  });

  test("a value that is not a requirement", () => {
    expect(unmet([null])).toBe("this device does not meet null");
  });
});

describe("a version in a machine's format,", () => {
  test.each<[Partial<RequirementFacts>, object]>([
    [{ osVersion: "balenaOS 2.98.33+rev1" }, { type: "sw.os", version: ">=2.98.33" }],
    [{ osVersion: "Ubuntu 24.04.1 LTS" }, { type: "sw.os", version: ">=24.4" }],
    [{ kernelVersion: "6.1.0-13-amd64" }, { type: "sw.kernel", version: ">=6.1" }],
    // The vendor's suffix does not mean a pre-release.
    [{ kernelVersion: "6.1.0-13-amd64" }, { type: "sw.kernel", version: ">=6.1.0" }],
    [{ kernelVersion: "5.10.104-tegra" }, { type: "sw.kernel", version: "5.10.104" }],
    [{ l4tVersion: "32.7.1" }, { type: "sw.l4t", version: ">=32.7" }],
    [{ l4tVersion: "35.1" }, { type: "sw.l4t", version: ">=35.1" }],
  ])("%j meets %j", (more, requirement) => {
    expect(unmet([requirement], more)).toBeUndefined();
  });
});

describe("in a target state", () => {
  const impossible = { type: "sw.container", requires: [{ type: "arch.sw", slug: "z80" }] };
  const why = 'this device does not meet {"type":"arch.sw","slug":"z80"}';

  test("a release that the device cannot run is valid and marked as rejected", () => {
    const { app, warnings } = read(
      body({ "1": entry({ contract: impossible }), "2": entry({ serviceName: "two", imageId: 2 }) }),
    );
    expect(app.rejected).toBe(`one: ${why}`);
    expect(warnings).toEqual([`the release is rejected: one: ${why}`]);
  });

  test.each(["1", "true", "on"])("an optional service (%j) that the device cannot run is left out", (value) => {
    for (const label of ["io.balena.features.optional", "io.resin.features.optional"]) {
      const { app, warnings } = read(
        body({
          "1": entry({ contract: impossible, labels: { [label]: value } }),
          "2": entry({ serviceName: "two", imageId: 2 }),
        }),
      );
      expect(app.rejected).toBeUndefined();
      expect(app.services.map(({ name }) => name)).toEqual(["two"]);
      expect(warnings).toEqual([`local.apps.1.services.1.contract: ${why}; optional, so left out`]);
    }
  });

  test.each(["0", "false", ""])("a service with the label `optional` %j is not optional", (value) => {
    const labels = { "io.balena.features.optional": value };
    expect(read(body({ "1": entry({ contract: impossible, labels }) })).app.rejected).toBe(`one: ${why}`);
  });

  test.each([[{}], [{ foo: 1 }], [{ type: "sw.container", slug: "c" }]])(
    "the contract %j has no requirements",
    (contract) => {
      const { app, warnings } = read(body({ "1": entry({ contract }) }));
      expect([app.rejected, warnings]).toEqual([undefined, []]);
    },
  );
});
