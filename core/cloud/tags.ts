import type * as z from "zod";
import { DeviceRows, setTags, TagRows } from "../api/cloud/tags.ts";
import { parseJson } from "../model/json.ts";
import type { TransientError } from "../model/retry.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventSink } from "../events/events.ts";
import type { Attempt } from "../retry.ts";
import type { Documents } from "../state/documents.ts";
import { oneByOne } from "../state/one-by-one.ts";
import { isTransient, retry, type DeviceApiClient } from "./device-api-client.ts";
import { Waker } from "./waker.ts";

export interface Tag {
  readonly id: number;
  readonly name: string;
  readonly value: string;
}

type Named = Readonly<Record<string, string>>;

interface Parts {
  readonly clock: Clock;
  readonly documents: Documents;
  readonly events: EventSink;
  /** Absent: there is no cloud. */
  readonly client: DeviceApiClient | undefined;
  readonly uuid: string;
  readonly key: () => string | undefined;
}

const retryPolicy = { firstMs: 15_000, maxMs: 15 * 60_000 };
/** The timeout is short, since a client of the API waits for the answer. */
const readTimeoutMs = 5_000;

/** The device's tags. They are stored on the device, and sent to and read from the cloud when it answers. */
export class Tags {
  readonly #parts: Parts;
  readonly #waker: Waker;
  readonly #inOrder = oneByOne();
  readonly #end = new AbortController();
  /** The cloud rejects a whole request for one bad tag. So after a rejection, each tag is sent alone. */
  #sendsAlone = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#waker = new Waker(parts.clock);
  }

  /** The cloud's tags and those that are not sent yet. While the cloud does not answer, the stored tags. */
  async read(): Promise<readonly Tag[]> {
    const rows = await this.#fetch().catch(() => undefined);
    if (rows)
      await this.#inOrder(() => this.#adopt(Object.fromEntries(rows.map(({ tag_key, value }) => [tag_key, value]))));
    const stored = Object.entries((await this.#parts.documents.read("tags")) ?? {});
    return stored.map(([name, value], n) => ({
      id: rows?.find(({ tag_key }) => tag_key === name)?.id ?? n + 1,
      name,
      value,
    }));
  }

  /** Sets these tags and keeps all others. Resolves when they are stored. */
  async set(tags: Named): Promise<void> {
    const { documents, client } = this.#parts;
    await this.#inOrder(async () => {
      const unsent = new Set([...((await documents.read("unsent-tags")) ?? []), ...Object.keys(tags)]);
      await documents.write({
        tags: { ...(await documents.read("tags")), ...tags },
        ...(client && { "unsent-tags": [...unsent] }),
      });
    });
    this.#waker.wake();
  }

  async run(key: string, signal: AbortSignal): Promise<void> {
    const { client, events } = this.#parts;
    if (!client) return;
    signal.addEventListener("abort", () => this.#end.abort(), { once: true });
    signal.addEventListener("abort", () => this.#waker.wake(), { once: true });
    const onFailure = ({ why }: TransientError, failures: number) => {
      if (failures === 1) events.emit({ kind: "tagsDelayed", reason: why });
    };
    while (!signal.aborted) {
      const tried = await client.keepTrying(retryPolicy, () => this.#sendUnsent(client, key, signal), {
        signal,
        onFailure,
      });
      if (tried.is === "done" && tried.value === "nothing unsent") await this.#waker.wait();
    }
  }

  async #sendUnsent(
    client: DeviceApiClient,
    key: string,
    signal: AbortSignal,
  ): Promise<Attempt<"nothing unsent" | "accepted" | "rejected">> {
    const { uuid } = this.#parts;
    const { tags, unsent } = await this.#stored();
    if (unsent.length === 0) {
      this.#sendsAlone = false;
      return { ok: true, value: "nothing unsent" };
    }
    const names = this.#sendsAlone ? unsent.slice(0, 1) : unsent;
    const sent = Object.fromEntries(names.map((name) => [name, tags[name] ?? ""]));
    const attempt = await client.attempt<"accepted" | "rejected">(
      setTags,
      { key, json: { [uuid]: sent } },
      signal,
      (answer) => {
        if (answer.status >= 200 && answer.status < 300) return { ok: true, value: "accepted" };
        return answer.status === 401 || isTransient(answer.status) ? retry(answer) : { ok: true, value: "rejected" };
      },
    );
    if (!attempt.ok) return attempt;
    if (attempt.value === "rejected" && names.length > 1) this.#sendsAlone = true;
    else await this.#inOrder(() => this.#forget(sent, attempt.value));
    return attempt;
  }

  async #stored(): Promise<{ readonly tags: Named; readonly unsent: readonly string[] }> {
    const { documents } = this.#parts;
    const [tags = {}, unsent = []] = await Promise.all([documents.read("tags"), documents.read("unsent-tags")]);
    return { tags, unsent };
  }

  /** Removes sent tags from the unsent ones, unless they were set again meanwhile. */
  async #forget(sent: Named, outcome: "accepted" | "rejected"): Promise<void> {
    const { documents, events } = this.#parts;
    const { tags, unsent } = await this.#stored();
    const remaining = unsent.filter((name) => !(name in sent) || tags[name] !== sent[name]);
    if (outcome === "rejected") events.emit({ kind: "tagsRefused", names: Object.keys(sent) });
    const removed = outcome === "rejected" ? Object.keys(sent).filter((name) => !remaining.includes(name)) : [];
    await documents.write({
      "unsent-tags": remaining.length > 0 ? remaining : undefined,
      ...(removed.length > 0 && {
        tags: Object.fromEntries(Object.entries(tags).filter(([name]) => !removed.includes(name))),
      }),
    });
  }

  async #fetch(): Promise<z.output<typeof TagRows>["d"] | undefined> {
    const { uuid, documents, client, key: currentKey } = this.#parts;
    const key = currentKey();
    if (key === undefined || !client) return undefined;
    const get = async (path: string): Promise<unknown> => {
      const request = { method: "GET", path: encodeURI(path), key, timeoutMs: readTimeoutMs } as const;
      const answer = await client.request(request, this.#end.signal);
      return answer.status === 200 ? parseJson(answer.text) : undefined;
    };
    const device = await documents.read("cloud-device");
    const id =
      (device?.key === key ? device.id : undefined) ??
      DeviceRows.parse(await get(`/v7/device?$select=id&$filter=uuid eq '${uuid}'`)).d[0]?.id;
    if (id === undefined) return undefined;
    return TagRows.parse(await get(`/v7/device_tag?$select=id,tag_key,value&$filter=device eq ${id}`)).d;
  }

  async #adopt(fromCloud: Named): Promise<void> {
    const { tags, unsent } = await this.#stored();
    const own = Object.fromEntries(unsent.map((name) => [name, tags[name] ?? ""]));
    const merged = { ...fromCloud, ...own };
    if (JSON.stringify(merged) !== JSON.stringify(tags)) await this.#parts.documents.write({ tags: merged });
  }
}
