import { describe, expect, test } from "vitest";
import { noBrowser } from "../support/chromium.ts";
import { startCloud } from "../worker/cloud.ts";
import { newFleet, newToken } from "../worker/people.ts";
import { openPage, useBrowser } from "./browser.ts";
import { press } from "./keyboard.ts";

const session = "sessionStorage.getItem('fairlead.session')";

describe.skipIf(noBrowser)("a link with a token", () => {
  const cloud = startCloud();
  const browser = useBrowser();

  test("signs nobody in before somebody has seen whose it is, and agreed", async () => {
    const fleet = await newFleet(cloud, "cameras");
    const { token } = await newToken(cloud, { fleets: [fleet.id], write: true });
    const page = await openPage(browser(), `${cloud.url()}/#token=${token}`);
    await page.getByRole("heading", { name: "Sign in with this link?" }).waitFor();
    await page.getByText("read, change devices").waitFor();
    await page.getByText(cloud.url(), { exact: true }).waitFor();
    expect([page.url(), await page.evaluate(session)]).toEqual([`${cloud.url()}/#/`, null]);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByLabel("Token").waitFor();
    expect(await page.evaluate(session)).toBeNull();

    await page.goto("about:blank");
    await page.goto(`${cloud.url()}/#token=${token}`);
    await press(page, "button", "Sign in");
    await page.getByText("cameras").first().waitFor();
    expect(await page.evaluate(session)).toEqual(expect.any(String));
  });
});
