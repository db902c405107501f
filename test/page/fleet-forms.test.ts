import { describe, expect, test } from "vitest";
import { noBrowser } from "../support/chromium.ts";
import { adminSecret, startCloud } from "../worker/cloud.ts";
import { newFleet } from "../worker/people.ts";
import { openPage, useBrowser } from "./browser.ts";
import { signIn } from "./fleet-devices.ts";
import { press, write } from "./keyboard.ts";

describe.skipIf(noBrowser)("the forms of a fleet, with the keyboard alone", () => {
  const cloud = startCloud();
  const browser = useBrowser();

  test("make a release, a variable, a key and a token", async () => {
    const fleet = await newFleet(cloud, "kitchens");
    const page = await openPage(browser(), cloud.url());
    await signIn(page, adminSecret);
    const goTo = (screen: string) => page.goto(`${cloud.url()}/#/f/${fleet.id}/${screen}`);

    await goTo("releases");
    await write(page, "Compose file", "services: { web: { image: nginx:1 } }");
    await press(page, "button", "Check");
    await page.getByText("service web added").waitFor();
    await press(page, "button", "Create the release");
    await page.getByText(/^The release \w{7} is made/).waitFor();
    await expect.poll(() => page.locator("tbody tr").count()).toBe(1);

    await goTo("variables");
    await write(page, "Name", "TZ");
    await write(page, "Value", "Europe/Berlin");
    await press(page, "button", "Set");
    await page.getByRole("row", { name: /TZ all services set/ }).waitFor();

    await goTo("add");
    await press(page, "button", "Make a key");
    await page.getByText(/sudo fairlead join http\S+ --key \S+/).waitFor();

    await goTo("tokens");
    await write(page, "Name", "a colleague");
    await press(page, "button", "Make a token");
    await page.getByRole("row", { name: /a colleague .* read kitchens/ }).waitFor();
  });
});
