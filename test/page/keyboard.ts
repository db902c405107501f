import type { Locator, Page } from "playwright-core";

/** What somebody does without a mouse. */

/** Presses Tab until the element has the focus. */
async function reach(page: Page, wanted: Locator, name: string | RegExp): Promise<void> {
  await wanted.waitFor();
  for (let n = 0; n < 80; n++) {
    await page.keyboard.press("Tab");
    if ((await wanted.and(page.locator(":focus")).count()) > 0) return;
  }
  throw new Error(`Tab does not reach ${name}`);
}

type Role = Parameters<Page["getByRole"]>[0];

/** Goes to the element with this name, and presses Enter, or another key. */
export async function press(page: Page, role: Role, name: string | RegExp, key = "Enter"): Promise<void> {
  await reach(page, page.getByRole(role, { name, exact: typeof name === "string" }).first(), name);
  await page.keyboard.press(key);
}

/** Goes to the field with this label, and replaces its text. */
export async function write(page: Page, label: string, text: string): Promise<void> {
  await reach(page, page.getByLabel(label, { exact: true }), label);
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.type(text);
}

/** Goes to the list with this name, and chooses a value further down. */
export async function choose(page: Page, name: string | RegExp, value: string): Promise<void> {
  const list = page.getByRole("combobox", { name });
  await reach(page, list, name);
  await page.keyboard.press("Home");
  for (let n = 0; n < 20 && (await list.inputValue()) !== value; n++) await page.keyboard.press("ArrowDown");
  if ((await list.inputValue()) !== value) throw new Error(`${value} is not chosen`);
}
