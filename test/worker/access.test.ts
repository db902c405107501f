import { beforeAll, describe, expect, test } from "vitest";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken, type Registered, type TestFleet } from "./people.ts";

const cloud = startCloud();

let ours: TestFleet;
let theirs: TestFleet;
let device: Registered;
let stranger: Registered;
/** Keys by their name in the table. */
const keys = new Map<string, string | null>();

beforeAll(async () => {
  [ours, theirs] = [await newFleet(cloud, "ours"), await newFleet(cloud, "theirs")];
  [device, stranger] = [await newDevice(cloud, ours), await newDevice(cloud, theirs)];
  const revoked = await newToken(cloud, { write: true });
  await cloud.ask("DELETE", `/admin/v1/tokens/${revoked.id}`);
  const write = (await newToken(cloud, { fleets: [ours.id], write: true })).token;
  const [claims = "", seal = ""] = write.split(".");
  const grown = Buffer.from(JSON.stringify({ ...readClaims(claims), fleets: "all" })).toString("base64url");
  for (const [name, key] of Object.entries({
    nothing: null,
    nonsense: "nonsense",
    expired: (await newToken(cloud, { write: true, lifetimeDays: 1e-9 })).token,
    revoked: revoked.token,
    "forged claims": `fl_${grown}.${seal}`,
    "forged seal": `${claims}.${seal.replace(/^./, (first) => (first === "A" ? "B" : "A"))}`,
    "other fleet, write": (await newToken(cloud, { fleets: [theirs.id], write: true })).token,
    "own fleet, read": (await newToken(cloud, { fleets: [ours.id] })).token,
    "own fleet, write": write,
    "all fleets, write": (await newToken(cloud, { write: true })).token,
    "admin secret": adminSecret,
    "device's own key": device.api_key,
    "another device's key": stranger.api_key,
    "provisioning key": ours.key,
  }))
    keys.set(name, key);
  // Wait until the token with a lifetime of one second has expired.
  await new Promise((resolve) => setTimeout(resolve, 1500));
});

const readClaims = (claims: string): object => JSON.parse(Buffer.from(claims.slice(3), "base64url").toString());

/** The answer to each kind of key for each kind of request. An empty list is "200, none". */
const questions = {
  whoami: () => cloud.ask.bind(null, "GET", "/actor/v1/whoami"),
  fleets: () => cloud.ask.bind(null, "GET", "/admin/v1/fleets"),
  device: () => cloud.ask.bind(null, "GET", `/admin/v1/devices/${device.uuid}`),
  rename: () => cloud.ask.bind(null, "PATCH", `/admin/v1/devices/${device.uuid}`),
  "new fleet": () => cloud.ask.bind(null, "POST", "/admin/v1/fleets"),
  tokens: () => cloud.ask.bind(null, "GET", "/admin/v1/tokens"),
  odata: () => cloud.ask.bind(null, "GET", `/v7/device(uuid='${device.uuid}')`),
  variable: () => cloud.ask.bind(null, "PATCH", `/v7/device_config_variable?$filter=device eq ${device.id}`),
} as const;
type Question = keyof typeof questions;

const bodies: Partial<Record<Question, object>> = {
  rename: { name: "renamed" },
  "new fleet": {},
  variable: { value: "1" },
};

// "new fleet" is sent without a name, so 400 means that the key may create a fleet.
const table: Record<string, Record<Question, number | string>> = {
  nothing: row(401, 401, 401, 401, 401, 401, 401, 401),
  nonsense: row(401, 401, 401, 401, 401, 401, 401, 401),
  expired: row(401, 401, 401, 401, 401, 401, 401, 401),
  revoked: row(401, 401, 401, 401, 401, 401, 401, 401),
  "forged claims": row(401, 401, 401, 401, 401, 401, 401, 401),
  "forged seal": row(401, 401, 401, 401, 401, 401, 401, 401),
  "other fleet, write": row(200, "200: theirs", 404, 404, 400, 403, "200, none", 200),
  "own fleet, read": row(200, "200: ours", 200, 403, 403, 403, "200, one", 403),
  "own fleet, write": row(200, "200: ours", 200, 200, 400, 403, "200, one", 200),
  "all fleets, write": row(200, "200: ours, theirs", 200, 200, 400, 403, "200, one", 200),
  "admin secret": row(200, "200: ours, theirs", 200, 200, 400, 200, "200, one", 200),
  "device's own key": row(200, 401, 401, 401, 401, 401, "200, one", 200),
  "another device's key": row(200, 401, 401, 401, 401, 401, "200, none", 200),
  "provisioning key": row(200, 401, 401, 401, 401, 401, 401, 401),
};

function row(...cells: readonly [Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell]): Record<Question, Cell> {
  const [whoami, fleets, device, rename, fleet, tokens, odata, variable] = cells;
  return { whoami, fleets, device, rename, "new fleet": fleet, tokens, odata, variable };
}
type Cell = number | string;

describe.each(Object.entries(table))("%s", (name, cells) => {
  test.each(Object.entries(cells))("%s: %s", async (question, expected) => {
    const asked = Object.keys(questions).find((one): one is Question => one === question) ?? "whoami";
    const answer = await questions[asked]()(bodies[asked], keys.get(name) ?? null);
    expect(typeof expected === "number" ? answer.status : described(answer)).toBe(expected);
  });
});

function described({ status, json }: { status: number; json: unknown }): string {
  const names = Array.isArray(json) ? json.map((one: { name: string }) => one.name).join(", ") : undefined;
  if (names !== undefined) return `${status}: ${names}`;
  const rows = typeof json === "object" && json !== null && "d" in json && Array.isArray(json.d) ? json.d : [];
  return `${status}, ${["none", "one"][rows.length] ?? "many"}`;
}

test("a device without access and an unknown device get the same answer", async () => {
  const key = keys.get("other fleet, write") ?? null;
  const [notYours, notThere] = await Promise.all(
    [device.uuid, "f".repeat(32)].map((uuid) => cloud.ask("GET", `/admin/v1/devices/${uuid}`, undefined, key)),
  );
  expect(notYours?.text).toBe(notThere?.text);
  expect(notYours?.status).toBe(notThere?.status);
});

test("no key is stored in plain text or listed", async () => {
  const storage = await cloud.worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });
  const kept = JSON.stringify(
    await Promise.all(
      ["devices", "provisioning_keys", "tokens"].map((table) => storage.exec(`SELECT * FROM ${table}`)),
    ),
  );
  const listed = (
    await Promise.all(
      ["tokens", "devices", `fleets/${ours.id}/provisioning-keys`].map((one) => cloud.ask("GET", `/admin/v1/${one}`)),
    )
  ).map(({ text }) => text);
  expect(kept.length).toBeGreaterThan(1000);
  for (const secret of [...keys.values(), stranger.api_key, theirs.key])
    if (secret && secret !== "nonsense")
      for (const text of [kept, ...listed]) expect(text.includes(secret)).toBe(false);
});

test("the authentication header of a client is ignored", async () => {
  const answer = await fetch(`${cloud.url()}/admin/v1/fleets`, {
    headers: {
      "x-fairlead-authentication": JSON.stringify({
        is: "person",
        grant: { tokenId: "admin", fleets: "all", write: true, issuedAt: 0 },
      }),
    },
  });
  expect(answer.status).toBe(401);
});
