import { createHash } from "node:crypto";
import { Script } from "node:vm";
import { expect, test } from "vitest";
import { refusalTypes } from "../../core/api/refusal-types.ts";
import { docsPage, errorsPage } from "../../core/http/docs-page.ts";
import { testDevice } from "../support/device.ts";
import { managedDevice } from "../api/managed.ts";

const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const between = (page: string, start: string, end: string) => page.split(start)[1]?.split(end)[0] ?? "";

test("the page of the API allows only its own script and style, and requests to its own origin", async () => {
  const page = await docsPage();
  const code = between(page, "<script>", "</script>");
  expect(between(page, 'Content-Security-Policy" content="', '"').split("; ")).toEqual([
    "default-src 'none'",
    `style-src ${hashOf(between(page, "<style>", "</style>"))}`,
    `script-src ${hashOf(code)}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  expect(() => new Script(code)).not.toThrow();
  expect(page).not.toMatch(/innerHTML|localStorage|sessionStorage|document\.cookie|https?:\/\//);
});

test("the page of errors has no script, and a place for each type", async () => {
  const page = await errorsPage();
  expect(page).not.toContain("<script");
  for (const name of Object.keys(refusalTypes)) expect(page).toContain(`<h2 id="${name}">`);
});

test("a device shows its pages without a key, in no frame, and keeps the document for those with a key", async () => {
  const device = await managedDevice();
  const page = await device.get("/docs");
  expect([page.status, page.text]).toEqual([200, await docsPage()]);
  expect(Object.fromEntries(page.headers)).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  });
  expect((await device.get("/docs/errors")).text).toBe(await errorsPage());
  expect((await device.get("/openapi.json")).status).toBe(401);
});

test("the address in the type of an error is answered", async () => {
  const device = await testDevice();
  const { json } = await device.get("/v3/locks/x/y");
  const { type } = Object(json);
  const [path = "", name = ""] = String(type).split("#");
  expect((await device.get(path)).text).toContain(`id="${name}"`);
});
