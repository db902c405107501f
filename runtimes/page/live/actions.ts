import { effect, signal } from "@preact/signals";
import { fillPath } from "../../../core/api/path.ts";
import { Refusal } from "../../../core/client/index.ts";
import { words } from "../words.ts";

/** A request that changes something. */
export interface Action {
  /** Of the button that shows it. */
  readonly key: string;
  readonly label: string;
  readonly send: () => Promise<unknown>;
  /** The same as a command line: what a dialog shows. */
  readonly curl: string;
  /** What is said when it has succeeded; else the label. Empty: what is shown says enough. */
  readonly done?: string;
  /** Called before it is sent. Returns whether the state shows the effect: then the button is free again. Absent: at the answer. */
  readonly watch?: () => () => boolean;
  /** The same action, which overrides update locks. */
  readonly forced?: Action;
}

/** What is asked in a dialog before an action. */
export interface Question {
  readonly title: string;
  readonly text: string;
  readonly lines?: readonly string[];
  readonly verb: string;
  readonly isDangerous?: boolean;
  /** What has to be typed, if the action destroys something. */
  readonly word?: string;
  /** Without a choice, or for the first one. */
  readonly action: Action;
  readonly choice?: Choice;
}

/** One of several things that can be done. */
interface Choice {
  readonly label: string;
  readonly options: readonly { readonly value: string; readonly label: string }[];
  readonly actionOf: (value: string) => Action;
}

export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly isFailure: boolean;
}

/** An effect that is not seen by then is not waited for. */
const effectMs = 15_000;
const noticeMs = 8000;

/** Actions under way, the question that is open, and what has come of them. Nothing is shown as done before it is. */
export class Actions {
  readonly pending = signal<ReadonlySet<string>>(new Set());
  readonly question = signal<Question | undefined>(undefined);
  readonly notices = signal<readonly Notice[]>([]);
  #count = 0;

  ask(question: Question): void {
    this.question.value = question;
  }

  async run(action: Action): Promise<void> {
    const { key, label, send, done, forced, watch } = action;
    if (this.pending.value.has(key)) return;
    this.pending.value = new Set([...this.pending.value, key]);
    const isShown = watch?.();
    try {
      await send();
      if (done !== "") this.say(done ?? words.value.done.done(label));
      if (isShown) void whenShown(isShown).then(() => this.#end(key));
      else this.#end(key);
    } catch (error) {
      this.#end(key);
      const why = whyOf(error);
      if (error instanceof Refusal && error.reply.status === 423 && forced) this.ask(toForce(forced, why));
      else this.say(words.value.done.failed(label, why), true);
    }
  }

  say(text: string, isFailure = false): void {
    const id = ++this.#count;
    this.notices.value = [...this.notices.value.slice(-2), { id, text, isFailure }];
    if (!isFailure) setTimeout(() => this.dismiss(id), noticeMs);
  }

  dismiss(id: number): void {
    this.notices.value = this.notices.value.filter((notice) => notice.id !== id);
  }

  #end(key: string): void {
    this.pending.value = new Set([...this.pending.value].filter((one) => one !== key));
  }
}

/** Resolves when the signals that `isShown` reads make it true, or after the time limit. */
function whenShown(isShown: () => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, effectMs);
  const stop = effect(() => {
    if (isShown()) resolve();
  });
  return promise.finally(() => {
    clearTimeout(timer);
    stop();
  });
}

export const whyOf = (error: unknown): string =>
  error instanceof Refusal && error.detail !== ""
    ? error.detail
    : error instanceof Error
      ? error.message
      : String(error);

const toForce = (action: Action, why: string): Question => ({
  title: words.value.confirm.locked,
  text: words.value.confirm.force,
  lines: [why],
  verb: words.value.act.force,
  isDangerous: true,
  action,
});

interface Wire {
  readonly method: string;
  readonly path: string;
}

/** As a shell takes it: in single quotes, which end before one and go on after it. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Where a request goes: to the device itself, or, with its `uuid`, to a cloud that passes it on. */
export interface Address {
  readonly origin: string;
  readonly hasKey: boolean;
  readonly uuid?: string;
}

interface Asked {
  readonly params?: object;
  readonly body?: unknown;
}

/** A request to a device as a command line. */
export function toCurl({ method, path }: Wire, { params, body, origin, hasKey, uuid }: Asked & Address): string {
  const target = fillPath(path, params);
  const [url, verb, sent] =
    uuid === undefined
      ? [origin + target, method, body]
      : [`${origin}/supervisor${target}`, "POST", { uuid, method, ...(body !== undefined && { data: body }) }];
  const parts = ["curl", ...(verb === "GET" ? [] : ["-X", verb]), quoted(url)];
  if (hasKey) parts.push("-H", '"Authorization: Bearer $KEY"');
  if (sent !== undefined)
    parts.push("-H", quoted("Content-Type: application/json"), "-d", quoted(JSON.stringify(sent)));
  return parts.join(" ");
}
