import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MemoryLog } from "../../core/embedded/ports.ts";
import type { ProxySettings } from "../../core/ports/proxy.ts";
import { Redsocks } from "../../hardware/redsocks.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";

const proxy: ProxySettings = { type: "socks5", ip: "192.0.2.1", port: 1080 };

/** A host with this redsocks.conf, and the proxy units on it. */
async function host(conf: string | undefined, noProxy?: string) {
  const folder = join(await temporaryFolder(), "system-proxy");
  await mkdir(folder);
  if (conf !== undefined) await writeFile(join(folder, "redsocks.conf"), conf);
  if (noProxy !== undefined) await writeFile(join(folder, "no_proxy"), noProxy);
  const log = new MemoryLog();
  const used: (ProxySettings | undefined)[] = [];
  const redirector = {
    check: () => Promise.resolve(undefined),
    use: (settings: ProxySettings | undefined) => {
      used.push(settings);
      return settings?.ip === "192.0.2.9" ? Promise.reject(new Error("no route to host")) : Promise.resolve();
    },
  };
  return { redsocks: new Redsocks(folder, redirector, log), folder, log, used };
}

test.each([
  ["garbage", "garbage"],
  ["nothing", ""],
  ["no port", "redsocks {\n\ttype = socks5;\n\tip = 192.0.2.1;\n}\n"],
  ["an unknown type", "redsocks {\n\ttype = banana;\n\tip = 192.0.2.1;\n\tport = 1080;\n}\n"],
])("a redsocks.conf with %s is read as a proxy with unknown settings", async (_, conf) => {
  expect(await (await host(conf)).redsocks.read()).toEqual({});
  expect(await (await host(conf, "10.0.0.1\n")).redsocks.read()).toEqual({ noProxy: ["10.0.0.1"] });
});

test("without a redsocks.conf there is no proxy", async () => {
  expect(await (await host(undefined, "10.0.0.1\n")).redsocks.read()).toBeUndefined();
});

test("a redsocks.conf that cannot be parsed is not applied, and the log says what is wrong", async () => {
  const { redsocks, folder, log, used } = await host("garbage");
  await redsocks.start();
  expect(used).toEqual([]);
  expect(log.lines).toEqual([
    `warning: ${join(folder, "redsocks.conf")} describes no proxy: a type, an ip or a port is missing`,
  ]);
});

test("a redsocks.conf that cannot be parsed is replaced, and restored if the new one does not work", async () => {
  const { redsocks, folder, used } = await host("garbage");
  await expect(redsocks.write({ ...proxy, ip: "192.0.2.9" })).rejects.toThrow("no route to host");
  expect(await readFile(join(folder, "redsocks.conf"), "utf8")).toBe("garbage");
  expect(used.at(-1)).toBeUndefined();
  expect(await redsocks.write(proxy)).toEqual({ is: "done" });
  expect(await redsocks.read()).toEqual(proxy);
});
