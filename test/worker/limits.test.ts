import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet } from "./people.ts";

/** What strangers, devices and stolen keys can ask for at most. */

const cloud = startCloud();

describe("the admin secret", () => {
  const weak = startCloud("x".repeat(31));

  test("is taken from the Authorization header alone", async () => {
    expect((await cloud.ask("GET", "/actor/v1/whoami")).status).toBe(200);
    const paths = ["/actor/v1/whoami", "/admin/v1/fleets", "/v7/device"];
    for (const path of paths)
      expect([path, (await cloud.ask("GET", `${path}?apikey=${adminSecret}`, undefined, null)).status]).toEqual([
        path,
        401,
      ]);
    const relayed = await cloud.ask("POST", `/supervisor/ping?apikey=${adminSecret}`, { appId: 1 }, null);
    expect(relayed.status).toBe(401);
  });

  test("of fewer than 32 characters is none", async () => {
    const { status, json } = await weak.ask("GET", "/actor/v1/whoami");
    expect([status, json]).toEqual([
      503,
      { error: expect.stringMatching(/^ADMIN_SECRET is missing, or has not 32 to 4500 characters/) },
    ]);
  });
});

describe("a credential", () => {
  test("of many characters is none, and costs nothing", async () => {
    const begun = performance.now();
    for (const authorization of [
      `Bearer ${" ".repeat(14_000)}\tx`,
      `Bearer ${"a ".repeat(7_000)}`,
      "a".repeat(14_000),
    ]) {
      const { status } = await fetch(`${cloud.url()}/actor/v1/whoami`, { headers: { authorization } });
      expect(status).toBe(401);
    }
    const inQuery = `/actor/v1/whoami?apikey=${"a".repeat(14_000)}`;
    expect((await cloud.ask("GET", inQuery, undefined, null)).status).toBe(401);
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});

/** Answers of an OData address: never a failure of the cloud. */
const odata = (address: string) => cloud.ask("GET", `/v7/${address}`);

const directory = () => cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });

describe("a query on resources", () => {
  const counter = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ";
  let fleetId: number;

  beforeAll(async () => {
    const fleet = await newFleet(cloud, "a large one");
    const { id } = await newDevice(cloud, fleet);
    fleetId = fleet.id;
    const storage = await directory();
    await storage.exec(
      `${counter}300) INSERT INTO devices (uuid, name, fleet_id, device_type, key_digest, created_at)
       SELECT printf('%032x', i + 1000000), 'd' || i, ${fleet.id}, 'generic-amd64', 'digest' || i, '' FROM n`,
    );
    await storage.exec(
      `${counter}99) INSERT INTO tags (device_id, tag_key, value)
       SELECT devices.id, 'key' || i, 'v' FROM n JOIN devices ON fleet_id = ${fleet.id}`,
    );
    await storage.exec(
      `${counter}900) INSERT INTO variables (kind, device_id, name, value, created_at)
       SELECT 'config', ${id}, 'BALENA_' || i, hex(zeroblob(5000)), '' FROM n`,
    );
  });

  test("does not expand a resource within itself", async () => {
    const back = "owns__device($expand=belongs_to__application($expand=owns__device))";
    expect(await odata(`application?$expand=${back}`)).toMatchObject({
      status: 400,
      json: "$expand leads back to where it comes from: application → device → application",
    });
    const { status, json } = await odata("device?$select=id&$expand=belongs_to__application($expand=owns__device)");
    expect([status, json]).toEqual([400, "$expand leads back to where it comes from: device → application → device"]);
    const single = await odata("device_tag?$top=1&$expand=device($select=id;$expand=belongs_to__application)");
    expect(single.status).toBe(200);
    const leaf = "device?$select=id&$top=1&$expand=device_tag($select=id;$top=1;$expand=device($select=id))";
    expect((await odata(leaf)).status).toBe(200);
  });

  test("expands at most four levels", async () => {
    const levels = (n: number): string => `a${n > 1 ? `($expand=${levels(n - 1)})` : ""}`;
    expect((await odata(`application?$expand=${levels(4)}`)).json).toBe("application has nothing to expand called a");
    expect(await odata(`application?$expand=${levels(5)}`)).toMatchObject({
      status: 400,
      json: "$expand is nested too deeply, expected at most 4 levels",
    });
  });

  test("answers at most 20,000 rows, those within others counted", async () => {
    const { status, json } = await odata(`application(${fleetId})?$expand=owns__device($select=id;$expand=device_tag)`);
    expect([status, json]).toEqual([400, expect.stringMatching(/^The answer is larger than 20000 rows: /)]);
    const fewer = `application(${fleetId})?$expand=owns__device($select=id;$expand=device_tag($top=10))`;
    expect((await odata(fewer)).status).toBe(400);
    expect((await odata(`device?$select=id&$top=150&$expand=device_tag($select=id)`)).status).toBe(200);
  });

  test("answers at most 8 MiB, what is there again and again counted again and again", async () => {
    expect((await odata("device_config_variable?$select=id")).status).toBe(200);
    const { status, json } = await odata("device_config_variable");
    expect([status, json]).toEqual([400, expect.stringMatching(/^The answer is larger than 8388608 bytes: /)]);
    const storage = await directory();
    await storage.exec(`UPDATE fleets SET name = hex(zeroblob(50000)) WHERE id = ${fleetId}`);
    const shared = await odata(
      `device?$select=id&$filter=belongs_to__application eq ${fleetId}&$expand=belongs_to__application`,
    );
    expect([shared.status, shared.json]).toEqual([400, expect.stringMatching(/^The answer is larger than 8388608 b/)]);
  });

  const terms = (count: number, term: string, by: string) => Array.from({ length: count }, () => term).join(by);
  test.each([
    ["device?$filter=" + terms(41, "id eq 1", " and "), "$filter has too many terms, expected at most 40"],
    ["device?$filter=" + terms(41, "(id eq 1)", " and "), "$filter has too many terms, expected at most 40"],
    ["device?$orderby=" + terms(41, "id", ","), "$orderby has too many parts, expected at most 40"],
    ["device?$select=" + terms(101, "id", ","), "$select has too many parts, expected at most 100"],
    [
      "device?$select=id&$expand=" + Array.from({ length: 101 }, (_, n) => `a${n}`).join(","),
      "$expand has too many parts, expected at most 100",
    ],
    ["device?$select=id&$expand=device_tag,device_tag", "device_tag is given twice"],
    [`device(${terms(11, "id=1", ",")})`, "The key has too many parts, expected at most 10"],
    ["device?$select=constructor", "device has no field constructor"],
    ["device?$select=id&$filter=__proto__ eq 1", "device has no field __proto__"],
    ["device?$select=id&$expand=constructor", "device has nothing to expand called constructor"],
    ["device?$select=id&$expand=__proto__", "device has nothing to expand called __proto__"],
    ["device?$select=id&$orderby=toString", "device has no field toString"],
    ["device(hasOwnProperty=1)", "device has no field hasOwnProperty"],
    ["device?$top=1000000000", expect.stringMatching(/^Expected the end/)],
  ])("%s is refused in words", async (address, sentence) => {
    const { status, json } = await odata(address);
    expect([status, json]).toEqual([400, sentence]);
  });

  test.each(["constructor", "__proto__", "toString"])("there is no resource %s", async (name) => {
    for (const method of ["GET", "POST", "PATCH", "DELETE"])
      expect((await cloud.ask(method, `/v7/${name}(1)`, method === "GET" ? undefined : {})).status).toBe(404);
  });

  test.each([
    "device?$select=id&$filter=" + terms(40, "startswith(uuid,'0')", " and "),
    "device?$select=id&$filter=" + terms(40, "overall_progress eq null", " and "),
    "device(id=1,uuid='a',device_name='b')?$select=id&$filter=" + terms(40, "startswith(uuid,'0')", " and "),
    "device?$select=id&$orderby=" + terms(40, "overall_progress desc", ","),
    "device?$select=id&$top=999999999&$skip=999999999",
    "device/$count?$filter=" + terms(40, "startswith(uuid,'0')", " and "),
  ])("%s is answered", async (address) => {
    expect((await odata(address)).status).toBe(200);
  });

  test("never makes the cloud fail, whatever it asks for", async () => {
    const name = fc.constantFrom(
      ..."application device release image service image_install device_tag id uuid owns__device".split(" "),
      ..."belongs_to__application should_be_running__release installs__image is_online constructor __proto__".split(
        " ",
      ),
    );
    const literal = fc.oneof(fc.constantFrom("1", "-1", "null", "true", "1e9", "0.5", "''", "'a''b'"), fc.string());
    const list = (parts: fc.Arbitrary<string>, by = ",") =>
      fc.array(parts, { maxLength: 4 }).map((all) => all.join(by));
    const { option } = fc.letrec<{ option: string }>((tie) => ({
      option: fc.oneof(
        { depthSize: "small" },
        list(name).map((names) => `$select=${names}`),
        list(
          fc.tuple(name, fc.constantFrom("eq", "ne", "gt"), literal).map((one) => one.join(" ")),
          " and ",
        ).map((terms) => `$filter=${terms}`),
        fc.tuple(name, fc.constantFrom("", " asc", " desc", " up")).map((one) => `$orderby=${one.join("")}`),
        fc
          .tuple(fc.constantFrom("$top", "$skip"), fc.constantFrom("0", "1", "-1", "999999999", ""))
          .map((one) => one.join("=")),
        list(fc.tuple(name, list(tie("option"), ";")).map(([link, inner]) => (inner ? `${link}(${inner})` : link))).map(
          (links) => `$expand=${links}`,
        ),
      ),
    }));
    const key = fc.oneof(
      fc.constant(""),
      fc.constant("/$count"),
      literal.map((one) => `(${one})`),
      fc.tuple(name, literal).map((one) => `(${one.join("=")})`),
    );
    const method = fc.oneof(
      { weight: 4, arbitrary: fc.constant("GET") },
      { weight: 1, arbitrary: fc.constantFrom("POST", "PATCH") },
    );
    await fc.assert(
      fc.asyncProperty(method, name, key, fc.array(option, { maxLength: 3 }), async (how, resource, where, options) => {
        const query = options
          .map((one) => one.replace(/=(.*)/s, (_, text: string) => `=${encodeURIComponent(text)}`))
          .join("&");
        const path = `/v7/${resource}${encodeURIComponent(where).replaceAll("%2F", "/")}?${query}`;
        const begun = performance.now();
        const { status, text } = await cloud.ask(how, path, how === "GET" ? undefined : { value: "1" });
        expect([path, status < 500, text.length < 10_000_000]).toEqual([path, true, true]);
        expect(performance.now() - begun).toBeLessThan(10_000);
      }),
      { numRuns: 300, interruptAfterTimeLimit: 15_000 },
    );
  });
});
