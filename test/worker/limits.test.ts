import { describe, expect, test } from "vitest";
import { adminSecret, startCloud } from "./cloud.ts";

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
