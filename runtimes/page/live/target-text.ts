import type { DeviceClient } from "../../../core/client/index.ts";
import { jsonFault, messageOf } from "../../../core/model/show.ts";
import { whyOf } from "./actions.ts";

/** What somebody writes in the editor of the target state, and what the device says about it. */

type Parsed =
  | { readonly ok: true; readonly value: Record<string, unknown> }
  | { readonly ok: false; readonly at: number; readonly why: string };

export function parseTarget(text: string): Parsed {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return { ok: true, value };
    return { ok: false, at: 0, why: '{ "local": { "apps": { … } } }' };
  } catch (error) {
    return { ok: false, at: placeOfFault(text), why: jsonFault(error).replace(/ in JSON.*$/, "") };
  }
}

/** V8 does not always name the place: it is where a longer beginning of the text no longer ends too early, but is wrong. */
function placeOfFault(text: string): number {
  let [good, bad] = [0, text.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (endsTooEarly(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  return endsTooEarly(text) ? text.length : good;
}

function endsTooEarly(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    const why = messageOf(error);
    const [, position] = /position (\d+)/.exec(why) ?? [];
    return /end of JSON input|Unterminated string/.test(why) || Number(position) >= text.length;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function placeOf(text: string, at: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** The ids and names of the applications in a target state. */
export function appsIn(target: Record<string, unknown>): readonly { readonly appId: number; readonly name: string }[] {
  const local = target["local"];
  const apps = isRecord(local) ? local["apps"] : undefined;
  if (!isRecord(apps)) return [];
  return Object.entries(apps).map(([id, app]) => ({
    appId: Number(id),
    name: isRecord(app) && typeof app["name"] === "string" ? app["name"] : id,
  }));
}

export type AppPlan = Awaited<ReturnType<DeviceClient["plan"]>>;

interface Accepted {
  readonly is: "accepted";
  /** What is applied. */
  readonly body: Record<string, unknown>;
  readonly plans: readonly { readonly name: string; readonly plan: AppPlan }[];
  readonly warnings: readonly string[];
}

export type Checked = { readonly is: "refused"; readonly faults: readonly string[] } | Accepted;

type Apps = readonly { readonly appId: number; readonly name: string }[];

/** Asks the device what it thinks of a target state. Nothing is changed by asking. */
export async function checkTarget(
  client: Pick<DeviceClient, "planTarget">,
  body: Record<string, unknown>,
  current: Apps,
): Promise<Checked> {
  const written = appsIn(body);
  const gone = current.filter(({ appId }) => !written.some((app) => app.appId === appId));
  const asked = [...written, ...gone];
  try {
    // Without an application, any id has the device read the whole.
    const plans = await Promise.all(
      (asked.length > 0 ? asked : [{ appId: 1, name: "" }]).map(async ({ appId, name }) => {
        const answer = await client.planTarget.reply({ params: { appId }, body });
        if (answer.status === 200) return { name, plan: answer.body };
        if (answer.status === 404) return undefined;
        throw new Error(detailOf(answer.body));
      }),
    );
    return { is: "accepted", body, plans: plans.filter((one) => one !== undefined), warnings: [] };
  } catch (error) {
    return refused(whyOf(error));
  }
}

/** The same of a compose file, which the device reads: the page has no parser of YAML. */
export async function checkCompose(
  client: Pick<DeviceClient, "planTarget" | "composeTarget">,
  { compose, project }: { readonly compose: string; readonly project: string },
  current: Apps,
): Promise<Checked> {
  try {
    const body = { compose, ...(project !== "" && { project }) };
    const answer = await client.composeTarget.reply({ body });
    if (answer.status !== 200) return refused(detailOf(answer.body));
    const { target, warnings } = answer.body;
    const checked = await checkTarget(client, { ...target }, current);
    return checked.is === "accepted" ? { ...checked, warnings } : checked;
  } catch (error) {
    return refused(whyOf(error));
  }
}

/** The first line only says that there are faults. */
const refused = (why: string): Checked => ({
  is: "refused",
  faults: why.replace(/^(?:Invalid target state|The compose file cannot run)\.\n/, "").split("\n"),
});

const detailOf = (body: unknown): string =>
  isRecord(body) ? String(body["detail"] ?? body["message"] ?? body["title"]) : String(body);
