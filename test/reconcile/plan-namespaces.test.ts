import { describe, expect, test } from "vitest";
import { app, aside, created, device, downloading, exited, held, running, sentences, strategy } from "./literals.ts";

/** Services that live in the namespace of another one: `network_mode`, `ipc` or `pid` is `service:vpn`. */

describe.each(["network_mode", "ipc", "pid"])("a service with %s service:vpn", (field) => {
  const inVpn = { [field]: "service:vpn" };
  const lodger = running("web", "web:1", { [field]: "container:vpn" });
  const release = (vpn: string | object, web: object = {}) => app({ web: { image: "web:1", ...inVpn, ...web }, vpn });

  test("has no difference if it uses a namespace of that service's container", () => {
    expect(sentences(device([lodger, running("vpn", "vpn:1")]), release("vpn:1"))).toEqual([]);
  });

  test("is replaced together with that service", () => {
    const current = device([lodger, running("vpn", "vpn:1")], { images: ["vpn:2"], locks: held("vpn", "web") });
    expect(sentences(current, release("vpn:2"))).toEqual([
      'kill vpn (image: "vpn:1" → "vpn:2")',
      "kill web (it uses a namespace of vpn, which is replaced)",
    ]);
  });

  test("is replaced alone if only it has changed", () => {
    const current = device([lodger, running("vpn", "vpn:1")], { images: ["web:2"], locks: held("vpn", "web") });
    expect(sentences(current, release("vpn:1", { image: "web:2" }))).toEqual(['kill web (image: "web:1" → "web:2")']);
  });

  test("is replaced if it uses a namespace of a removed container", () => {
    const lost = running("web", "web:1", { [field]: "container:before" });
    const current = device([lost, running("vpn", "vpn:1")], { locks: held("vpn", "web") });
    expect(sentences(current, release("vpn:1"))).toEqual([`kill web (${field}: "container:before" → "service:vpn")`]);
  });

  test("starts after that service", () => {
    const images = ["web:1", "vpn:1"];
    expect(sentences(device([], { images }), release("vpn:1"))).toEqual([
      "wait for vpn to run, whose namespace web uses",
      "install and start vpn",
    ]);
    expect(sentences(device([running("vpn", "vpn:1")], { images }), release("vpn:1"))).toEqual([
      "install and start web",
    ]);
  });

  test("does not start while that service is stopped", () => {
    const current = device([created("web", "web:1", { [field]: "container:vpn" }), exited("vpn", "vpn:1")], {
      seen: new Set(["vpn"]),
    });
    expect(sentences(current, release("vpn:1"))).toEqual(["wait for vpn to run, whose namespace web uses"]);
  });

  test("is killed together with that service when that leaves the release", () => {
    const current = device([lodger, running("vpn", "vpn:1")], { locks: held("vpn", "web") });
    expect(sentences(current, app({ web: "web:1" }))).toEqual([
      expect.stringMatching(`^kill web \\(${field}: "service:vpn" → `),
      "kill vpn (no longer in the target state)",
    ]);
  });
});

describe("a chain of shared namespaces", () => {
  const tunnel = running("vpn", "vpn:1");
  const inside = running("web", "web:1", { network_mode: "container:vpn" });
  const insideThat = running("probe", "probe:1", { pid: "container:web" });
  const release = (vpn: object) =>
    app({
      probe: { image: "probe:1", pid: "service:web" },
      web: { image: "web:1", network_mode: "service:vpn" },
      vpn,
    });

  test("is replaced as a whole", () => {
    const current = device([insideThat, inside, tunnel], { images: ["vpn:2"], locks: held("probe", "vpn", "web") });
    expect(sentences(current, release({ image: "vpn:2" }))).toEqual([
      'kill vpn (image: "vpn:1" → "vpn:2")',
      "kill web (it uses a namespace of vpn, which is replaced)",
      "kill probe (it uses a namespace of web, which is replaced)",
    ]);
  });

  test("starts in its order", () => {
    const images = ["vpn:1", "web:1", "probe:1"];
    expect(sentences(device([tunnel], { images }), release({ image: "vpn:1" }))).toEqual([
      "wait for web to run, whose namespace probe uses",
      "install and start web",
    ]);
  });

  test("is killed at once if its first service is killed before the download", () => {
    const killFirst = strategy("kill-then-download");
    const current = device([insideThat, inside, running("vpn", "vpn:1", killFirst)], {
      locks: held("probe", "vpn", "web"),
    });
    expect(sentences(current, release({ image: "vpn:2", ...killFirst }))).toEqual([
      "kill vpn (image: vpn:2 will be downloaded)",
      "kill web (it uses a namespace of vpn, which is replaced)",
      "kill probe (it uses a namespace of web, which is replaced)",
    ]);
  });

  test("stays during the download for its first service", () => {
    const current = device([insideThat, inside, tunnel], { downloads: downloading("vpn:2") });
    expect(sentences(current, release({ image: "vpn:2" }))).toEqual(["wait for image vpn:2"]);
  });
});

test("a hand-over does not stop services that share the container's namespaces: they use its successor's", () => {
  const handOver = strategy("hand-over");
  const containers = [
    aside(exited("vpn", "vpn:1", handOver)),
    running("vpn", "vpn:2", handOver),
    running("web", "web:1", { network_mode: "container:vpn" }),
  ];
  const release = app({ vpn: { image: "vpn:2", ...handOver }, web: { image: "web:1", network_mode: "service:vpn" } });
  expect(sentences(device(containers), release)).toEqual(["kill vpn (it has ended by itself)"]);
});

test("container:vpn means the service of that name, if there is one", () => {
  const containers = [running("web", "web:1", { network_mode: "container:vpn" }), running("vpn", "vpn:1")];
  const release = app({ web: { image: "web:1", network_mode: "container:vpn" }, vpn: "vpn:1" });
  expect(sentences(device(containers), release)).toEqual([]);
  expect(sentences(device([], { images: ["web:1", "vpn:1"] }), release)).toEqual([
    "wait for vpn to run, whose namespace web uses",
    "install and start vpn",
  ]);
});
