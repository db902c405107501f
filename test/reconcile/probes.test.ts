import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import type { App } from "../../core/model/target.ts";
import type { ProbeResult } from "../../core/ports/probe.ts";
import { askedOf, Probes } from "../../core/reconcile/probes.ts";
import { HandClock } from "../state/world.ts";
import { turn } from "./late.ts";
import { app, aside, exited, running } from "./literals.ts";

const gate = (path = "/", port = 8080, release: App = app({ web: "web:1" })): App => ({
  ...release,
  services: release.services.map((one) => (one.name === "web" ? { ...one, gates: { http: { port, path } } } : one)),
});
const at = (addresses: Container["addresses"], container = running("web", "web:1")): Container => ({
  ...container,
  addresses,
});

describe("a container is asked at", () => {
  const urls = (release: App, ...containers: readonly Container[]) =>
    askedOf(release, containers).map(({ url }) => url);

  const rows: readonly [string, Container, string | undefined][] = [
    ["its address", at({ "1_default": "172.18.0.2" }), "http://172.18.0.2:8080/"],
    ["an IPv6 address", at({ "1_default": "fd00::2" }), "http://[fd00::2]:8080/"],
    [
      "its address on the agent's network",
      at({ a: "172.18.0.2", supervisor0: "10.114.104.2" }),
      "http://10.114.104.2:8080/",
    ],
    [
      "the loopback, in the network of the host",
      at({}, running("web", "web:1", { network_mode: "host" })),
      "http://127.0.0.1:8080/",
    ],
    ["nothing, without a network", at({}, running("web", "web:1", { network_mode: "none" })), undefined],
    [
      "nothing, in the network of an unknown container",
      at({}, running("web", "web:1", { network_mode: "container:x" })),
      undefined,
    ],
  ];
  test.each(rows)("%s", (_, container, url) => {
    expect(urls(gate(), container)).toEqual([url]);
  });

  test("the address of the container in whose network it is", () => {
    const web = running("web", "web:1", { network_mode: "container:vpn" });
    const vpn = running("vpn", "vpn:1");
    expect(urls(gate(), web, at({ a: "172.18.0.9" }, vpn))).toEqual(["http://172.18.0.9:8080/"]);
    expect(urls(gate(), web, running("vpn", "vpn:1", { network_mode: "host" }))).toEqual(["http://127.0.0.1:8080/"]);
  });

  test.each([
    ["/a/b?c=d&e=f", "/a/b?c=d&e=f"],
    ["//evil.example/x", "//evil.example/x"],
    ["@evil.example/", "/@evil.example/"],
    [":80@evil.example/", "/:80@evil.example/"],
    [".evil.example/", "/.evil.example/"],
    ["\\\\evil.example", "//evil.example"],
    ["http://evil.example/", "/http://evil.example/"],
    ["/a b\r\nHost: evil.example", "/a%20bHost:%20evil.example"],
    ["/a?b\r\nc d#e", "/a?bc%20d%23e"],
    ["/a#b", "/a%23b"],
  ])("the same place whatever path the release names: %j", (path, shown) => {
    const [url = ""] = urls(gate(path), at({ a: "172.18.0.2" }));
    expect(url).toBe(`http://172.18.0.2:8080${shown}`);
    expect(new URL(url).host).toBe("172.18.0.2:8080");
  });

  test("only if it runs, has the gate, and is not its predecessor", () => {
    const web = at({ a: "172.18.0.2" });
    expect(urls(app({ web: "web:1" }), web)).toEqual([]);
    expect(urls(gate(), { ...exited("web", "web:1"), addresses: {} })).toEqual([]);
    expect(urls(gate(), aside(web))).toEqual([]);
    expect(urls(gate(), at({ a: "172.18.0.3" }, running("db", "db:1")))).toEqual([]);
    expect(urls(gate(), at({ a: "172.18.0.3" }, running("web", "web:1", {}, { appId: 2 })))).toEqual([]);
  });
});

describe("while a container is watched", () => {
  function world(answers: readonly ProbeResult[]) {
    const clock = new HandClock(0);
    const rest = [...answers];
    const urls: string[] = [];
    let changes = 0;
    const probes = new Probes({
      clock,
      probe: {
        get: (url) => {
          urls.push(url);
          return Promise.resolve(rest.shift() ?? { status: 200 });
        },
      },
      onChange: () => changes++,
    });
    const pass = async (ms: number) => {
      clock.pass(ms);
      await turn();
    };
    return { clock, probes, urls, pass, changes: () => changes };
  }
  const web = [{ id: "web", url: "http://a/" }];

  test("it is asked each second, and each change requests a round", async () => {
    const { probes, urls, pass, changes } = world([{ error: "refuses the connection" }, { status: 503 }]);
    probes.watch(web);
    await turn();
    expect([urls.length, changes()]).toEqual([1, 1]);
    expect(probes.answers().get("web")).toEqual({ ok: false, detail: "refuses the connection", sinceMs: 0 });
    await pass(999);
    expect(urls).toHaveLength(1);
    await pass(1);
    expect(probes.answers().get("web")).toEqual({ ok: false, detail: "answers 503", sinceMs: 0 });
    for (let n = 0; n < 3; n++) await pass(1000);
    expect(probes.answers().get("web")).toEqual({ ok: true, detail: "answers 200", sinceMs: 2000 });
    expect([urls.length, changes()]).toEqual([5, 3]);
  });

  test.each([
    [199, false],
    [200, true],
    [399, true],
    [400, false],
  ])("%i is a good answer: %j", async (status, ok) => {
    const { probes } = world([{ status }]);
    probes.watch(web);
    await turn();
    expect(probes.answers().get("web")?.ok).toBe(ok);
  });

  test("one bad answer begins the time of the good ones anew", async () => {
    const { probes, pass } = world([{ status: 200 }, { status: 500 }]);
    probes.watch(web);
    for (let n = 0; n < 3; n++) await pass(n === 0 ? 0 : 1000);
    expect(probes.answers().get("web")).toMatchObject({ ok: true, sinceMs: 2000 });
  });

  test("the same container is not asked twice, and at another address from the beginning", async () => {
    const { probes, urls, pass } = world([]);
    probes.watch(web);
    probes.watch([...web]);
    await pass(0);
    expect(urls).toEqual(["http://a/"]);
    probes.watch([{ id: "web", url: "http://b/" }]);
    expect(probes.answers().size).toBe(0);
    await turn();
    expect(urls).toEqual(["http://a/", "http://b/"]);
    await pass(1000);
    expect(urls).toEqual(["http://a/", "http://b/", "http://b/"]);
  });

  test.each<[string, (probes: Probes) => void]>([
    ["nothing is watched any more", (probes) => probes.watch([])],
    ["the agent stops, for good", (probes) => (probes.stop(), probes.watch(web))],
  ])("asking ends when %s", async (_, end) => {
    const { probes, urls, pass } = world([]);
    probes.watch(web);
    await turn();
    end(probes);
    for (let n = 0; n < 3; n++) await pass(1000);
    expect(urls).toHaveLength(1);
    expect(probes.answers().size).toBe(0);
  });

  test("an answer that comes too late is no answer", async () => {
    const late = Promise.withResolvers<ProbeResult>();
    let changes = 0;
    const probes = new Probes({
      clock: new HandClock(0),
      probe: { get: () => late.promise },
      onChange: () => changes++,
    });
    probes.watch(web);
    probes.watch([]);
    late.resolve({ status: 200 });
    await turn();
    expect([probes.answers().size, changes]).toEqual([0, 0]);
  });

  test("what cannot be asked says why", () => {
    const parts = { clock: new HandClock(0), onChange: () => {} };
    const without = new Probes({ ...parts, probe: { missing: "the engine is on another machine" } });
    without.watch([...web, { id: "db", url: undefined }]);
    expect([...without.answers()]).toEqual([
      ["web", { ok: false, detail: "cannot be asked: the engine is on another machine", sinceMs: 0 }],
      ["db", { ok: false, detail: "has no address of its own", sinceMs: 0 }],
    ]);
  });
});
