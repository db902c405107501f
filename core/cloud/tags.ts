import * as z from "zod";
import type { Clock } from "../ports/clock.ts";
import type { Cloud, CloudRequest } from "../ports/cloud.ts";
import type { Log } from "../ports/log.ts";
import type { Documents } from "../state/documents.ts";
import { oneByOne } from "../state/one-by-one.ts";
import { isPassing, setback, type Setback } from "./answers.ts";
import type { RetryPause } from "./reachability.ts";
import { Alarm, waitMs } from "./pace.ts";
import { messageOf } from "../model/show.ts";
import { parseJson } from "../model/json.ts";

export interface Tag {
  readonly id: number;
  readonly name: string;
  readonly value: string;
}

type Named = Readonly<Record<string, string>>;

interface Parts {
  readonly clock: Clock;
  readonly documents: Documents;
  readonly log: Log;
  readonly ask: Cloud | undefined;
  /** Between an attempt that failed and the next one. */
  readonly pause: RetryPause;
  readonly uuid: string;
  readonly key: () => string | undefined;
}

const patience = { firstMs: 15_000, limitMs: 15 * 60_000 };
const timeoutMs = 59_000;
/** Somebody waits for the answer. */
const readTimeoutMs = 5_000;

const TagRows = z.object({ d: z.array(z.object({ id: z.int(), tag_key: z.string(), value: z.string() })) });
const DeviceRows = z.object({ d: z.array(z.object({ id: z.int() })) });

/** The device's tags: kept here, told to the cloud when it can be reached, and read there when it can be. */
export class Tags {
  readonly #parts: Parts;
  readonly #alarm: Alarm;
  readonly #inOrder = oneByOne();
  readonly #end = new AbortController();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#alarm = new Alarm(parts.clock);
  }

  /** The cloud's, with what it has not been told yet; as far as it cannot be asked, those that are kept. */
  async read(): Promise<readonly Tag[]> {
    const rows = await this.#fetch().catch(() => undefined);
    if (rows)
      await this.#inOrder(() => this.#adopt(Object.fromEntries(rows.map(({ tag_key, value }) => [tag_key, value]))));
    const kept = Object.entries((await this.#parts.documents.read("tags")) ?? {});
    return kept.map(([name, value], n) => ({
      id: rows?.find(({ tag_key }) => tag_key === name)?.id ?? n + 1,
      name,
      value,
    }));
  }

  /** Sets some; the others stay. Resolves when they are kept. */
  async set(tags: Named): Promise<void> {
    const { documents } = this.#parts;
    await this.#inOrder(async () => {
      const unsent = new Set([...((await documents.read("unsent-tags")) ?? []), ...Object.keys(tags)]);
      await documents.write({
        tags: { ...(await documents.read("tags")), ...tags },
        ...(this.#parts.ask && { "unsent-tags": [...unsent] }),
      });
    });
    this.#alarm.ring();
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { clock, log, pause } = this.#parts;
    signal.addEventListener("abort", () => this.#end.abort(), { once: true });
    signal.addEventListener("abort", () => this.#alarm.ring(), { once: true });
    let failures = 0;
    let alone = false;
    while (!signal.aborted) {
      const [kept = {}, unsent = []] = await Promise.all([
        this.#parts.documents.read("tags"),
        this.#parts.documents.read("unsent-tags"),
      ]);
      if (unsent.length === 0) {
        alone = false;
        await this.#alarm.wait();
        continue;
      }
      const names = alone ? unsent.slice(0, 1) : unsent;
      const sent = Object.fromEntries(names.map((name) => [name, kept[name] ?? ""]));
      const outcome = await this.#send(sent, key, signal);
      if (typeof outcome === "object") {
        failures++;
        if (failures === 1 && !signal.aborted)
          log.warn(`The cloud cannot be told of the device's tags: ${outcome.why}`);
        await pause(waitMs(failures, outcome, patience, clock.random()), outcome, signal);
        continue;
      }
      failures = 0;
      // One bad tag has all of them refused.
      if (outcome === "refused" && names.length > 1) alone = true;
      else await this.#inOrder(() => this.#forget(sent, outcome));
    }
  }

  async #send(tags: Named, key: string, signal: AbortSignal): Promise<"taken" | "refused" | Setback> {
    const { ask, uuid } = this.#parts;
    if (!ask) return "taken";
    const body = JSON.stringify({ [uuid]: tags });
    const headers = { "content-type": "application/json" };
    try {
      const answer = await ask({ method: "PATCH", path: "/device/v3/tags", key, headers, body, timeoutMs }, signal);
      if (answer.status >= 200 && answer.status < 300) return "taken";
      return answer.status === 401 || isPassing(answer.status) ? setback(answer) : "refused";
    } catch (error) {
      return { why: messageOf(error) };
    }
  }

  /** These need not be sent any more, unless they were set anew meanwhile. */
  async #forget(sent: Named, outcome: "taken" | "refused"): Promise<void> {
    const { documents, log } = this.#parts;
    const [kept = {}, unsent = []] = await Promise.all([documents.read("tags"), documents.read("unsent-tags")]);
    const left = unsent.filter((name) => !(name in sent) || kept[name] !== sent[name]);
    if (outcome === "refused") log.warn(`The cloud does not take the tag ${Object.keys(sent).join(", ")}`);
    const gone = outcome === "refused" ? Object.keys(sent).filter((name) => !left.includes(name)) : [];
    await documents.write({
      "unsent-tags": left.length > 0 ? left : undefined,
      ...(gone.length > 0 && {
        tags: Object.fromEntries(Object.entries(kept).filter(([name]) => !gone.includes(name))),
      }),
    });
  }

  async #fetch(): Promise<z.output<typeof TagRows>["d"] | undefined> {
    const key = this.#parts.key();
    if (key === undefined || !this.#parts.ask) return undefined;
    const { uuid, documents } = this.#parts;
    const kept = await documents.read("cloud-device");
    const id = kept?.key === key ? kept.id : undefined;
    const found =
      id ?? DeviceRows.parse(await this.#get(key, `/v7/device?$select=id&$filter=uuid eq '${uuid}'`)).d[0]?.id;
    if (found === undefined) return undefined;
    return TagRows.parse(await this.#get(key, `/v7/device_tag?$select=id,tag_key,value&$filter=device eq ${found}`)).d;
  }

  async #get(key: string, path: string): Promise<unknown> {
    const { ask } = this.#parts;
    const request: CloudRequest = { method: "GET", path: encodeURI(path), key, timeoutMs: readTimeoutMs };
    const answer = await ask?.(request, this.#end.signal);
    return answer?.status === 200 ? parseJson(answer.text) : undefined;
  }

  async #adopt(fromCloud: Named): Promise<void> {
    const { documents } = this.#parts;
    const [kept = {}, unsent = []] = await Promise.all([documents.read("tags"), documents.read("unsent-tags")]);
    const own = Object.fromEntries(unsent.map((name) => [name, kept[name] ?? ""]));
    const tags = { ...fromCloud, ...own };
    if (JSON.stringify(tags) !== JSON.stringify(kept)) await documents.write({ tags });
  }
}
