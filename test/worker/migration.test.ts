import { createHash, createHmac, hkdfSync } from "node:crypto";
import { expect, test } from "vitest";
import * as z from "zod";
import { AuditEntry, ProvisioningKey, Token } from "../../core/api/admin/index.ts";
import { deriveServiceKey } from "../../core/model/service-key.ts";
import { migrations } from "../../runtimes/worker/directory/schema.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newUuid, registration } from "./people.ts";

const cloud = startCloud();

const directory = { name: "directory" };
const digestOf = (key: string) => createHash("sha256").update(key).digest("hex");

/** Tokens from before the permissions `secrets` and `manage`. */
function signedBefore(claims: object): string {
  const payload = Buffer.from(JSON.stringify(claims));
  const key = Buffer.from(hkdfSync("sha256", adminSecret, "", "fairlead tokens 1", 32));
  return `fl_${payload.toString("base64url")}.${createHmac("sha256", key).update(payload).digest("base64url")}`;
}

test("a directory of an older version is migrated, and its devices, keys and tokens stay valid", async () => {
  const storage = await cloud.worker.getWorker().getDurableObjectStorage("Directory", directory);
  const Names = z.array(z.object({ name: z.string() }));
  const tables =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*'";
  for (
    let left = Names.parse(await storage.exec(tables));
    left.length > 0;
    left = Names.parse(await storage.exec(tables))
  )
    for (const { name } of left) await storage.exec(`DROP TABLE ${name}`).catch(() => {});
  await storage.exec("CREATE TABLE migrations (number INTEGER PRIMARY KEY) STRICT");
  for (const [n, migration] of migrations.slice(0, 2).entries()) {
    for (const statement of migration.replace(/--.*$/gm, "").split(";"))
      if (statement.trim() !== "") await storage.exec(statement);
    await storage.exec("INSERT INTO migrations VALUES (?)", n + 1);
  }
  const uuid = newUuid();
  // A key with the format of older agents.
  const deviceKey = "0123456789abcdef".repeat(2);
  const provisioningKey = "f".repeat(64);
  await storage.exec(
    "INSERT INTO fleets (id, uuid, name, device_type, created_at) VALUES (1, 'f', 'old', 'generic-amd64', '')",
  );
  await storage.exec(
    "INSERT INTO devices (id, uuid, name, fleet_id, device_type, key_digest, created_at) VALUES (1, ?, 'old', 1, 'x', ?, '')",
    ...[uuid, digestOf(deviceKey)],
  );
  await storage.exec(
    "INSERT INTO provisioning_keys (id, fleet_id, name, digest, created_at) VALUES (1, 1, 'old', ?, '')",
    digestOf(provisioningKey),
  );
  await storage.exec("INSERT INTO tokens (id, name, fleets, write, issued_at) VALUES ('old', 'old', '[1]', 1, 1)");
  const token = signedBefore({ id: "old", fleets: [1], write: true, iat: 1 });

  for (let opened = 0; opened < 2; opened++) {
    await cloud.worker.getWorker().evictDurableObject("Directory", directory);
    const status = async (method: string, path: string, key: string, body?: object) =>
      (await cloud.ask(method, path, body, key)).status;
    expect((await cloud.ask("GET", "/admin/v1/whoami", undefined, token)).json).toEqual({
      ...{ tokenId: "old", fleets: [1], write: true, secrets: false, manage: false, shell: false },
    });
    expect(await status("PATCH", "/admin/v1/fleets/1", token, { name: `old ${opened}` })).toBe(200);
    expect(await status("POST", "/admin/v1/fleets/1/provisioning-keys", token, {})).toBe(403);
    const state = `/device/v3/${uuid}/state`;
    expect((await cloud.ask("GET", state, undefined, token)).text).toContain('"(hidden)"');
    const serviceKey = await deriveServiceKey(deviceKey);
    expect(await status("GET", "/actor/v1/whoami", serviceKey)).toBe(opened === 0 ? 401 : 200);
    expect(await status("GET", state, deviceKey)).toBe(200);
    expect(await status("GET", "/actor/v1/whoami", serviceKey)).toBe(200);
    expect(await status("POST", "/device/register", provisioningKey, registration({ id: 1 }))).toBe(201);
    const listed = await cloud.get(z.array(ProvisioningKey), "/admin/v1/fleets/1/provisioning-keys");
    expect(listed).toMatchObject([{ id: 1, expiresAt: null, usesLeft: null, madeBy: null }]);
    const tokens = await cloud.get(z.array(Token), "/admin/v1/tokens");
    expect(tokens).toMatchObject([
      { id: "old", write: true, secrets: false, manage: false, shell: false, madeBy: null },
    ]);
    const audit = await cloud.get(z.array(AuditEntry), "/admin/v1/audit?fleetId=1");
    expect(audit[0]).toMatchObject({ operation: "register", fleetId: 1 });
  }
  expect((await cloud.ask("DELETE", "/admin/v1/tokens/old")).status).toBe(200);
  expect((await cloud.ask("GET", "/admin/v1/whoami", undefined, token)).status).toBe(401);
});
