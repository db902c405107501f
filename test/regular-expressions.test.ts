import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { checkSync } from "recheck";
import { describe, expect, test } from "vitest";
import { parseAst } from "vitest/node";
import * as z from "zod";
import { reference } from "../core/model/image.ts";

/**
 * What strangers and devices send is matched in linear time: a pattern that needs quadratic time for 64 KB stops a Worker, or
 * a device, for everybody. Patterns are read from the sources, so a new one is checked too.
 */

const root = join(import.meta.dirname, "..");
const folders = [
  ...["runtimes/worker", "core/http", "core/api", "core/fleet", "core/relay", "core/compose", "core/model"],
];
const files = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name)),
);

/** Patterns that are made at run time, by the file that makes them. */
const constructed: Readonly<Record<string, readonly RegExp[]>> = {
  "core/model/image.ts": [reference],
};

const Literal = z.object({
  type: z.literal("Literal"),
  regex: z.object({ pattern: z.string(), flags: z.string() }),
});
const Construction = z.object({
  type: z.enum(["NewExpression", "CallExpression"]),
  callee: z.object({ name: z.literal("RegExp") }),
});

interface Found {
  readonly patterns: { readonly pattern: string; readonly flags: string }[];
  constructs: boolean;
}

function patternsIn(source: string): Found {
  const found: Found = { patterns: [], constructs: false };
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(walk);
    if (typeof node !== "object" || node === null || node instanceof RegExp) return;
    const literal = Literal.safeParse(node);
    if (literal.success) found.patterns.push(literal.data.regex);
    if (Construction.safeParse(node).success) found.constructs = true;
    Object.values(node).forEach(walk);
  };
  walk(parseAst(source, { lang: "ts" }));
  return found;
}

/** What is found must not depend on how busy the machine is: steps are limited by default, time is not. */
const limits = { timeout: 120_000, attackTimeout: null, incubationTimeout: null, seedingTimeout: null };

/** "safe", or how slow it is and for which input. */
function complexityOf(pattern: string, flags: string): string {
  process.env["RECHECK_SYNC_BACKEND"] = "pure";
  const found = checkSync(pattern, flags, limits);
  switch (found.status) {
    case "safe":
      return "safe";
    case "vulnerable":
      return `${found.complexity.summary} for ${found.attack.pattern}`;
    case "unknown":
      return `unknown: ${found.error.kind}`;
  }
}

describe("every pattern takes linear time", () => {
  const found = files.map((file) => ({ file, ...patternsIn(readFileSync(join(root, file), "utf8")) }));

  test("of those that are written in the sources", () => {
    const slow = found.flatMap(({ file, patterns }) =>
      patterns.flatMap(({ pattern, flags }) => {
        const complexity = complexityOf(pattern, flags);
        return complexity === "safe" ? [] : [`${file}: /${pattern}/${flags}: ${complexity}`];
      }),
    );
    expect(found.flatMap(({ patterns }) => patterns).length).toBeGreaterThan(80);
    expect(slow).toEqual([]);
  }, 600_000);

  test("of those that are made at run time", () => {
    expect(found.filter(({ constructs }) => constructs).map(({ file }) => file)).toEqual(
      Object.keys(constructed).toSorted(),
    );
    for (const { source, flags } of Object.values(constructed).flat()) expect(complexityOf(source, flags)).toBe("safe");
  }, 600_000);

  test("and a pattern that does not is found", () => {
    expect(complexityOf(":\\S+@(?=a)", "")).toMatch(/^2nd degree polynomial/);
    expect(complexityOf("^bearer +(.*\\S) *$", "i")).toMatch(/^2nd degree polynomial for /);
    expect(patternsIn("const found = /a+$/g.exec(text); new RegExp(found);")).toMatchObject({
      patterns: [{ pattern: "a+$", flags: "g" }],
      constructs: true,
    });
  }, 600_000);
});

const long = 64 * 1024;

/** Functions that read such text with more than one pattern, or with a library's: what they are given, and by which file. */
const readers: readonly (readonly [file: string, call: string])[] = [
  ["core/model/image.ts", `parseImage("a".repeat(${long}) + "!")`],
  ["core/model/image.ts", `parseImage("a/".repeat(${long / 2}) + "!")`],
  ["core/model/image.ts", `parseImage("a:".repeat(${long / 2}) + "@")`],
  ["core/model/show.ts", `show(":".repeat(${long}))`],
  ["core/model/show.ts", `show(":@".repeat(${long / 2}) + ":")`],
  ["core/compose/quantities.ts", `parseBytes("1" + " ".repeat(${long}) + "x")`],
  ["core/compose/quantities.ts", `parseDuration("1".repeat(${long}))`],
  ["core/compose/quantities.ts", `parseDuration("1s".repeat(${long / 2}) + "1")`],
  ["core/compose/quantities.ts", `cleanPath("a/".repeat(${long / 2}))`],
  ["core/compose/quantities.ts", `splitVariable("=".repeat(${long}))`],
  ["core/compose/requirements.ts", `unmetRequirement(requiring("1 ".repeat(${long / 2})), facts)`],
  ["core/compose/requirements.ts", `unmetRequirement(requiring("||".repeat(${long / 2})), facts)`],
  ["core/compose/requirements.ts", `unmetRequirement(requiring("1" + " ".repeat(${long}) + "- 1"), facts)`],
  ["core/http/form.ts", `parseForm("[".repeat(${long}))`],
  ["core/http/form.ts", `parseForm("a" + "[]".repeat(${long / 2}) + "=1")`],
  ["core/http/form.ts", `parseForm("a[b]=1&".repeat(${long / 8}))`],
];

/** Far more than linear time needs on a busy machine, far less than quadratic time does. */
const patienceMs = 3000;

const given = `
  const requiring = (version) => ({ requires: [{ type: "sw.os", version }] });
  const facts = { osVersion: "1.0.0" };
`;

/** Whether the call ended in time; a thread can be ended in the middle of it. */
async function ends(file: string, call: string): Promise<boolean> {
  const name = call.slice(0, call.indexOf("("));
  const code = `const { ${name} } = await import(${JSON.stringify(pathToFileURL(join(root, file)).href)});
    ${given}
    postMessage("ready");
    ${call};
    postMessage("done");`;
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
     globalThis.postMessage = (message) => parentPort.postMessage(message);
     import("data:text/javascript," + encodeURIComponent(${JSON.stringify(code)}));`,
    { eval: true },
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await new Promise<boolean>((resolve, reject) => {
      worker.on("message", (message) => {
        if (message === "done") return resolve(true);
        timer = setTimeout(() => resolve(false), patienceMs);
      });
      worker.on("error", reject);
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

describe("64 KB of hostile text is read in time", () => {
  test.each(readers)("%s: %s", async (file, call) => {
    expect(await ends(file, call)).toBe(true);
  });
});
