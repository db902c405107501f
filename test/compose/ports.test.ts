import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fixedHostPorts, parsePorts, sortPorts } from "../../core/compose/ports.ts";
import { fromPortBindings, toPortBindings } from "../../core/docker-api/ports.ts";
import type { Port } from "../../core/model/container.ts";
import { port } from "./arbitraries.ts";
import { configOf, faultsIn } from "./read.ts";

/** `127.0.0.1:8080 → 80/tcp`. If nothing is before the arrow, the engine chooses. */
const show = ({ ip, published, target, protocol }: Port) =>
  `${ip && `${ip}:`}${published} → ${target}/${protocol}`.trim();

const portsOf = (ports: readonly unknown[]) => configOf({ ports }).ports.map(show);

describe("the short form", () => {
  test.each<[string | number, readonly string[]]>([
    [80, ["→ 80/tcp"]],
    ["80", ["→ 80/tcp"]],
    ["80/udp", ["→ 80/udp"]],
    ["80/TCP", ["→ 80/tcp"]],
    ["80/sctp", ["→ 80/sctp"]],
    ["80-82", ["→ 80/tcp", "→ 81/tcp", "→ 82/tcp"]],
    ["8080:80", ["8080 → 80/tcp"]],
    ["80:80", ["80 → 80/tcp"]],
    ["1:1", ["1 → 1/tcp"]],
    ["65535:65535", ["65535 → 65535/tcp"]],
    ["53:53/udp", ["53 → 53/udp"]],
    ["8080-8082:80-82", ["8080 → 80/tcp", "8081 → 81/tcp", "8082 → 82/tcp"]],
    ["8080-8082:80", ["8080-8082 → 80/tcp"]],
    ["127.0.0.1:8080:80", ["127.0.0.1:8080 → 80/tcp"]],
    ["0.0.0.0:8080:80", ["0.0.0.0:8080 → 80/tcp"]],
    ["127.0.0.1::80", ["127.0.0.1: → 80/tcp"]],
    ["127.0.0.1:5000-5001:5000-5001/udp", ["127.0.0.1:5000 → 5000/udp", "127.0.0.1:5001 → 5001/udp"]],
    ["[::1]:8080:80", ["::1:8080 → 80/tcp"]],
    ["[::1]::80", ["::1: → 80/tcp"]],
    [" 80 ", ["→ 80/tcp"]],
  ])("%j means %j", (written, means) => {
    expect(portsOf([written])).toEqual(means);
  });
});

describe("the long form", () => {
  test.each<[object, readonly string[]]>([
    [{ target: 80 }, ["→ 80/tcp"]],
    [{ target: "80" }, ["→ 80/tcp"]],
    [{ target: 80, protocol: "udp" }, ["→ 80/udp"]],
    [{ target: 80, published: 8080 }, ["8080 → 80/tcp"]],
    [{ target: 80, published: "8080" }, ["8080 → 80/tcp"]],
    [{ target: 80, published: "8080-8082" }, ["8080-8082 → 80/tcp"]],
    [{ target: "80-81", published: "90-91" }, ["90 → 80/tcp", "91 → 81/tcp"]],
    [{ target: 80, published: 8080, host_ip: "127.0.0.1" }, ["127.0.0.1:8080 → 80/tcp"]],
    [{ target: 80, host_ip: "127.0.0.1" }, ["127.0.0.1: → 80/tcp"]],
    [{ target: 80, published: 8080, host_ip: "::1" }, ["::1:8080 → 80/tcp"]],
    [{ target: 80, published: null, host_ip: null, protocol: null }, ["→ 80/tcp"]],
    [
      { target: 80, published: "8080", protocol: "tcp", mode: "ingress", name: "web", app_protocol: "http" },
      ["8080 → 80/tcp"],
    ],
  ])("%j means %j", (written, means) => {
    expect(portsOf([written])).toEqual(means);
  });
});

describe("lists", () => {
  test("are sorted by container port and have no duplicates", () => {
    expect(portsOf(["443", "8080-8081:80-81", { target: 80, published: 8080 }, "8080:80", "53/udp", "53"])).toEqual([
      "→ 53/tcp",
      "→ 53/udp",
      "8080 → 80/tcp",
      "8081 → 81/tcp",
      "→ 443/tcp",
    ]);
  });

  test("may give one container port several host ports", () => {
    expect(portsOf(["8080:80", "9090:80", "127.0.0.1:80:80"])).toEqual([
      "127.0.0.1:80 → 80/tcp",
      "8080 → 80/tcp",
      "9090 → 80/tcp",
    ]);
  });

  test.each([[[]], [null]])("%j means none", (ports) => {
    expect(configOf({ ports }).ports).toEqual([]);
  });
});

const expected = 'expected a port such as "80", "8080:80", "127.0.0.1:8080-8081:80-81/udp"';

describe("a port is refused with its place in the list and its original text:", () => {
  test.each<[unknown]>([
    ["abc"],
    [""],
    ["0"],
    ["65536"],
    ["70000:80"],
    ["0:80"],
    ["80:0"],
    ["82-80"],
    ["8080-8090:80-81"],
    ["80-"],
    ["-80"],
    ["80:"],
    ["a:80"],
    ["80/icmp"],
    ["80:80:80"],
    ["256:80:80:80"],
    ["::1:80:80"],
    ["localhost:80:80"],
    ["127.0.0.1:80"],
    ["8080;80"],
    [-1],
    [1.5],
    [true],
    [null],
    [{}],
    [{ published: 80 }],
    [{ target: 0 }],
    [{ target: "a" }],
    [{ target: 80, published: "a" }],
    [{ target: "80-81", published: "90-92" }],
    [{ target: 80, protocol: "icmp" }],
    [{ target: 80, host_ip: "localhost" }],
  ])("%j", (written) => {
    expect(faultsIn({ ports: ["80", written] })).toEqual([`ports[1]: ${expected}, but got ${JSON.stringify(written)}`]);
  });

  test("a value that is not a list", () => {
    expect(faultsIn({ ports: "80" })).toEqual(['ports: expected a list, but got "80"']);
  });
});

describe("the engine's port bindings", () => {
  test("are a list of host ports for each container port", () => {
    const { ports } = configOf({ ports: ["127.0.0.1:8080:80", "8000-8010:80", "53/udp"] });
    expect(toPortBindings(ports)).toEqual({
      "53/udp": [{ HostIp: "", HostPort: "" }],
      "80/tcp": [
        { HostIp: "127.0.0.1", HostPort: "8080" },
        { HostIp: "", HostPort: "8000-8010" },
      ],
    });
  });

  test("are read back unchanged", () => {
    fc.assert(
      fc.property(fc.array(port), (ports) => {
        expect(fromPortBindings(toPortBindings(ports))).toEqual(sortPorts(ports));
      }),
    );
  });

  test.each<[Parameters<typeof fromPortBindings>[0], readonly string[]]>([
    [{}, []],
    [{ "80/tcp": null }, []],
    [{ "80/tcp": [] }, []],
    [{ "80": [{ HostIp: null, HostPort: null }] }, ["→ 80/tcp"]],
    [{ "80/tcp": [{ HostPort: "80" }, { HostIp: "::", HostPort: "80" }] }, ["80 → 80/tcp", ":::80 → 80/tcp"]],
  ])("%j are %j", (bindings, means) => {
    expect(fromPortBindings(bindings).map(show)).toEqual(means);
  });
});

test("a port is read back from its short form", () => {
  fc.assert(
    fc.property(port, (one) => {
      const ip = one.ip.includes(":") ? `[${one.ip}]` : one.ip;
      const host = ip || one.published ? `${ip && `${ip}:`}${one.published}:` : "";
      expect(parsePorts(`${host}${one.target}/${one.protocol}`)).toEqual([one]);
    }),
  );
});

test("only a single host port is fixed, and from a range the engine chooses", () => {
  const { ports } = configOf({ ports: ["80", "8080:80", "5000-5001:50", "6000-6001:60-61/udp"] });
  expect(fixedHostPorts(ports)).toEqual(["6000/udp", "6001/udp", "8080/tcp"]);
});
