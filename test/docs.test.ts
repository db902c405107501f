import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";

/** What the pages name is there: files, links between pages, and scripts of package.json. */

const root = join(import.meta.dirname, "..");
const pages = globSync("**/*.md", { cwd: root, exclude: (name) => /node_modules|^dist|\/dist/.test(name) }).sort();
const { scripts } = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));

const textOf = (page: string) => readFileSync(join(root, page), "utf8");
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, found = ""]) => found);

/** Paths from the root of the project, in backticks; `*` stands for any names. */
const namedPaths = (text: string) =>
  all(text, /`((?:\.ci|bench|core|docs|examples|hardware|packaging|runtimes|test)\/[^`\s,]*)`/g);

const headingsOf = (text: string) =>
  all(text.replace(/^```[\s\S]*?^```/gm, ""), /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );

test.each(pages)("%s names files, pages and scripts that exist", (page) => {
  const text = textOf(page);
  expect(namedPaths(text).filter((path) => globSync(path, { cwd: root }).length === 0)).toEqual([]);
  expect(all(text, /npm run ([\w:-]+)/g).filter((name) => !(name in scripts))).toEqual([]);
  const broken = all(text, /\]\((?!https?:)([^)\s]+)\)/g).filter((link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : relative(root, join(root, dirname(page), path));
    return !existsSync(join(root, target)) || (anchor !== undefined && !headingsOf(textOf(target)).includes(anchor));
  });
  expect(broken).toEqual([]);
});

test("every page of docs/ is linked from README.md", () => {
  const linked = all(textOf("README.md"), /\]\((docs\/[^)#]+)/g);
  expect(pages.filter((page) => page.startsWith("docs/") && !linked.includes(page))).toEqual([]);
});
