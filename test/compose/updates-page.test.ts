import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { updateVariableWarnings, updateWords } from "../../core/compose/update-words.ts";
import { parseComposition } from "../../core/fleet/release.ts";
import { bareConfig } from "../../core/model/config.ts";
import { defaultRules } from "../../core/model/update.ts";
import { body, entry, faultsIn, faultsOf, read } from "./read.ts";

/** The words in docs/updates.md are those that a device reads. */

const page = readFileSync(join(import.meta.dirname, "../../docs/updates.md"), "utf8");

interface Row {
  readonly word: string;
  readonly values: readonly string[];
  readonly byDefault: string;
}

const quoted = (text: string): readonly string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, one = ""]) => one);

const rows = page
  .split("\n")
  .filter((line) => /^\| `[\w-]+`/.test(line))
  .map((line): Row => {
    const [, word = "", values = "", byDefault = ""] = line.split("|");
    return { word: quoted(word)[0] ?? "", values: quoted(values), byDefault: quoted(byDefault)[0] ?? "" };
  });

const labels = (words: Readonly<Record<string, string>>) => ({
  labels: Object.fromEntries(Object.entries(words).map(([word, value]) => [`io.balena.update.${word}`, value])),
});

test("the page has every word", () => {
  expect([...rows.map(({ word }) => word), "snapshot"].sort()).toEqual([...updateWords].sort());
  expect(page).toContain("`io.balena.update.snapshot");
});

test.each(rows)("the values of $word are accepted", ({ word, values }) => {
  expect(values.length).toBeGreaterThan(0);
  expect(values.flatMap((value) => faultsIn(labels({ [word]: value })))).toEqual([]);
});

test("the defaults of an application are those of the page", () => {
  const written = rows.filter(({ byDefault }) => byDefault !== "").map(({ word, byDefault }) => [word, byDefault]);
  const { app } = read(body({ "1": entry(labels(Object.fromEntries(written))) }));
  expect([app.update, app.services[0]?.gates]).toEqual([defaultRules, { monitorMs: 0 }]);
});

const Example = z.object({ services: z.object({ web: z.looseObject({}) }), volumes: z.looseObject({}) });

describe("an example", () => {
  const blocks = (language: string) =>
    [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)].flatMap(([, name, text = ""]) =>
      name === language ? [text] : [],
    );

  test.each([...blocks("yaml").entries()])("is release %d", (_, text) => {
    expect(parseComposition(parse(text))).toMatchObject({ ok: true, warnings: [] });
  });

  test.each([...blocks("sh").entries()])("sets the variables %d", (_, text) => {
    const set = Object.fromEntries(
      [...text.matchAll(/(RESIN_\w+)="?([^"\s]+)/g)].map(([, name = "", value = ""]) => [name, value]),
    );
    const config = bareConfig(set);
    expect(Object.keys(config).length).toBeGreaterThan(0);
    expect(updateVariableWarnings(config)).toEqual({});
    expect(
      Object.keys(config).every((name) =>
        updateWords.some((word) => name === `SUPERVISOR_UPDATE_${word.toUpperCase().replace("-", "_")}`),
      ),
    ).toBe(true);
  });

  test("has a window, gates and a volume with a snapshot", () => {
    const [text = ""] = blocks("yaml");
    const { services, volumes } = Example.parse(parse(text));
    const target = body({ "1": entry(services.web) }, { volumes });
    expect(faultsOf(target)).toEqual([]);
    const { app, warnings } = read(target);
    expect(app).toMatchObject({
      update: { apply: [{ is: "window" }, { is: "idle" }], applyByMs: 604_800_000 },
      services: [{ gates: { monitorMs: 60_000, http: { port: 8080, path: "/healthz" } } }],
      volumes: { data: { snapshot: true } },
    });
    expect(warnings).toEqual([]);
  });
});
