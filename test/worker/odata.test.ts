import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAddress, type Address, type Parsed } from "../../runtimes/worker/public-api/odata.ts";

const read = (url: string): Parsed<Address> => {
  const { pathname, searchParams } = new URL(url, "http://cloud");
  return parseAddress(pathname, searchParams);
};

const address = (url: string): Address => {
  const parsed = read(url);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
};

const plain = { expand: [], orderBy: [] };

describe("the queries of public clients:", () => {
  test("one device by its id, by its uuid, and by the beginning of its uuid", () => {
    expect(address("/device(17)?$select=id,uuid")).toEqual({
      resource: "device",
      key: { is: "eq", field: "id", value: 17 },
      count: false,
      query: { ...plain, select: ["id", "uuid"] },
    });
    expect(address("/device(uuid='ab')").key).toEqual({ is: "eq", field: "uuid", value: "ab" });
    expect(address("/device?$filter=startswith(uuid,'0123abc')&$select=uuid").query.filter).toEqual({
      is: "startswith",
      field: "uuid",
      prefix: "0123abc",
    });
  });

  test("percent-encoded and plain text", () => {
    expect(address("/device(uuid=%27ab%27)?$filter=name%20eq%20%27a%20b%27")).toEqual(
      address("/device(uuid='ab')?$filter=name eq 'a b'"),
    );
  });

  test("a variable by two fields, with and without parentheses", () => {
    const both = {
      is: "and",
      all: [
        { is: "eq", field: "device", value: 1 },
        { is: "eq", field: "name", value: "RESIN_OVERRIDE_LOCK" },
      ],
    };
    const variable = "/device_config_variable?$select=value&$filter=";
    expect(address(`${variable}device eq 1 and name eq 'RESIN_OVERRIDE_LOCK'`).query.filter).toEqual(both);
    expect(address(`${variable}(device eq 1) and (name eq 'RESIN_OVERRIDE_LOCK')`).query.filter).toEqual(both);
    expect(address("/device_config_variable(device=1,name='RESIN_OVERRIDE_LOCK')").key).toEqual(both);
  });

  test("nested expansions with their own options", () => {
    const { query } = address(
      "/device(1)?$expand=image_install($select=id,status;$filter=status ne 'deleted';" +
        "$expand=installs__image($select=id;$expand=is_a_build_of__service($select=id,service_name)))," +
        "belongs_to__application($select=slug)",
    );
    expect(query.expand).toEqual([
      {
        name: "image_install",
        query: {
          select: ["id", "status"],
          filter: { is: "ne", field: "status", value: "deleted" },
          orderBy: [],
          expand: [
            {
              name: "installs__image",
              query: {
                ...plain,
                select: ["id"],
                expand: [{ name: "is_a_build_of__service", query: { ...plain, select: ["id", "service_name"] } }],
              },
            },
          ],
        },
      },
      { name: "belongs_to__application", query: { ...plain, select: ["slug"] } },
    ]);
  });

  test("order, bounds and counts", () => {
    const { count, query } = address("/release/$count?$orderby=created_at desc,id&$top=3&$skip=6");
    expect(count).toBe(true);
    expect(query).toEqual({
      expand: [],
      orderBy: [
        { field: "created_at", descending: true },
        { field: "id", descending: false },
      ],
      top: 3,
      skip: 6,
    });
  });

  test("doubled quotes within a text, and null, booleans and negative numbers", () => {
    expect(address("/device?$filter=note eq 'it''s; (here)'").query.filter).toMatchObject({ value: "it's; (here)" });
    expect(address("/device?$filter=note eq null and id ne -1 and is_online eq true").query.filter).toMatchObject({
      all: [{ value: null }, { value: -1 }, { value: true }],
    });
  });

  test("an apikey in the query is not an option", () => {
    expect(address("/device?apikey=secret").query).toEqual(plain);
  });
});

test.each([
  ["/device?$search=x", /^\$search is not supported/],
  ["/device?$filter=id gt 1", /^Expected eq or ne, but got "gt"/],
  ["/device?$filter=id eq 1 or id eq 2", /^Expected the end, but got "or id eq 2"/],
  ["/device?$filter=contains(uuid,'a')", /^Expected startswith\(field,'text'\), but got "contains\("/],
  ["/device?$filter=belongs_to__application/id eq 1", /^Paths such as belongs_to__application\/… are not supported/],
  ["/device?$filter=id eq", /^Expected a value, but got the end/],
  ["/device?$filter=name eq 'open", /^Expected a text in quotes, a number/],
  ["/device?$filter=id eq 1and name eq 'x'", /^Expected a text in quotes, a number/],
  ["/device?$filter=", /^Expected a name, but got the end/],
  ["/device?$expand=a($select=id", /^Expected "\)", but got the end/],
  ["/device?$expand=a()", /^Expected an option such as \$select/],
  ["/device?$orderby=id up", /^Expected asc or desc, but got "up"/],
  ["/device?$top=many", /^Expected a number for \$top/],
  ["/device?$select=id&$select=uuid", /^\$select is given twice/],
  ["/device(1", /^Expected "\)"/],
  ["/device('a')", /^Expected a name/],
  ["/device(%E0)", /^The path is not valid %-encoding/],
  ["/1device", /^Expected a name/],
  [`/device?$filter=${"(".repeat(1000)}`, /^\$filter is nested too deeply/],
  [`/device?$expand=${"a($expand=".repeat(1000)}`, /^\$expand is nested too deeply/],
])("%s is refused with a message", (url, message) => {
  expect(read(url)).toEqual({ ok: false, message: expect.stringMatching(message) });
});

test("any input is parsed or refused, without an exception", () => {
  const piece = fc.constantFrom(
    ..."$select $expand $filter $orderby $top = ; , ( ) ' '' eq ne and startswith device name 1 -1 null true / $count".split(
      " ",
    ),
    " ",
    "%",
    "\u0000",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join("")),
  );
  const option = fc.tuple(
    fc.constantFrom("$select", "$expand", "$filter", "$orderby", "$top", "$skip", "$other", "x"),
    text,
  );
  fc.assert(
    fc.property(text, fc.array(option, { maxLength: 4 }), (path, options) => {
      const parsed = parseAddress(`/${path}`, new URLSearchParams(options));
      expect(parsed.ok ? parsed.value.resource : parsed.message).toMatch(/./);
    }),
    { numRuns: 2000 },
  );
});

test("a written query is parsed to the same query", () => {
  const name = fc.stringMatching(/^[a-z][a-z_]{0,8}$/);
  const value = fc.oneof(
    fc.string(),
    fc.integer({ min: -1e6, max: 1e6 }).map((n) => n + 0),
    fc.boolean(),
    fc.constant(null),
  );
  const written = (one: string | number | boolean | null) =>
    typeof one === "string" ? `'${one.replaceAll("'", "''")}'` : String(one);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { minLength: 2, maxLength: 5 }), (terms) => {
      const $filter = terms.map(([field, one]) => `(${field} eq ${written(one)})`).join(" and ");
      const parsed = parseAddress("/device", new URLSearchParams({ $filter }));
      expect(parsed.ok && parsed.value.query.filter).toEqual({
        is: "and",
        all: terms.map(([field, one]) => ({ is: "eq", field, value: one })),
      });
    }),
  );
});
