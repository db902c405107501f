import type { Page } from "playwright-core";

/** Presses Tab until the element with this name has the focus, and then Enter, or another key: as somebody without a mouse. */
export async function press(
  page: Page,
  role: Parameters<Page["getByRole"]>[0],
  name: string | RegExp,
  key = "Enter",
): Promise<void> {
  const wanted = page.getByRole(role, { name, exact: typeof name === "string" }).first();
  await wanted.waitFor();
  for (let n = 0; n < 80; n++) {
    await page.keyboard.press("Tab");
    if ((await wanted.and(page.locator(":focus")).count()) > 0) return page.keyboard.press(key);
  }
  throw new Error(`Tab does not reach ${name}`);
}
