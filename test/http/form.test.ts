import fc from "fast-check";
import { expect, test } from "vitest";
import { parseForm } from "../../core/http/form.ts";

test.each<[string, object]>([
  ["", {}],
  ["a=b", { a: "b" }],
  ["a=b=c", { a: "b=c" }],
  ["a", { a: "" }],
  ["=b", {}],
  ["a=1&a=2", { a: ["1", "2"] }],
  ["a[]=1", { a: ["1"] }],
  ["a[]=1&a[]=2", { a: ["1", "2"] }],
  ["a[0]=1&a[1]=2", { a: ["1", "2"] }],
  // A large index does not create a sparse list.
  ["a[1000000]=1", { a: { "1000000": "1" } }],
  ["a[b]=1&a[c][d]=2", { a: { b: "1", c: { d: "2" } } }],
  ["a%5Bb%5D=1", { a: { b: "1" } }],
  ["a.b=1", { "a.b": "1" }],
  // A nested field replaces a plain one.
  ["a=1&a[b]=2", { a: { b: "2" } }],
  // Unpaired brackets are part of the name.
  ["a[=1&b]=2&c[d=3&[e]=4", { "a[": "1", "b]": "2", "c[d": "3", "[e]": "4" }],
  ["a[][b]=1", { "a[][b]": "1" }],
  [`a${"[b]".repeat(11)}=1`, { [`a${"[b]".repeat(11)}`]: "1" }],
])("%s", (form, value) => {
  expect(parseForm(form)).toEqual(value);
});

test.each(["__proto__=1", "__proto__[x]=1", "constructor[prototype][x]=1", "a[__proto__][x]=1"])(
  "%s does not change Object.prototype",
  (form) => {
    parseForm(form);
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect("x" in {}).toBe(false);
  },
);

test("a flat form is parsed to the fields it was made from", () => {
  const names = fc.string({ minLength: 1 }).filter((name) => !/[[\]]/.test(name));
  fc.assert(
    fc.property(fc.dictionary(names, fc.string(), { noNullPrototype: true }), (fields) => {
      const well = Object.entries(fields).map(([name, value]): [string, string] => [
        name.toWellFormed(),
        value.toWellFormed(),
      ]);
      expect(parseForm(new URLSearchParams(well).toString())).toEqual(Object.fromEntries(well));
    }),
  );
});
