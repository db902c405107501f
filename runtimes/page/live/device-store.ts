import { computed, signal } from "@preact/signals";
import { Refusal, type DeviceClient, type Followed } from "../../../core/client/index.ts";
import { withShortImages } from "../format.ts";
import { figuresIn, type Figures } from "./figures.ts";
import { toLines } from "./log-file.ts";
import { LogLines } from "./log-lines.ts";
import type { Visibility } from "./visibility.ts";

type LineOf<Is extends Followed["is"]> = Extract<Followed, { readonly is: Is }>;
export type Hello = LineOf<"hello">;
type StateLine = LineOf<"state">;
export type AppState = StateLine["apps"][number];
export type ServiceState = AppState["services"][string];
/** A newer agent may have more kinds. */
export type Problem = Omit<StateLine["problems"][number], "kind"> & { readonly kind: string };
export interface State extends Pick<StateLine, "settled" | "apps" | "engine"> {
  readonly problems: readonly Problem[];
}
export type DeviceEvent = LineOf<"event">;

/** What a client is made with: a stream needs another `fetch` than an action. */
export type Connect = (fetch: (request: Request) => Promise<Response>) => DeviceClient;

type Link =
  | { readonly is: "loading" | "live" }
  | { readonly is: "reconnecting"; readonly why: string; readonly since: number }
  /** The device wants a key, or another one. */
  | { readonly is: "refused"; readonly why: string }
  | { readonly is: "failed"; readonly why: string }
  /** The cloud has no connection to the device. `heardAt`: of its last report. */
  | { readonly is: "offline"; readonly heardAt: number | undefined };

export type LinkState = Link["is"];

const keptEvents = 200;

/** Identity and addresses, which the stream does not tell. */
export interface About {
  readonly name: string;
  readonly type: string;
  readonly arch: string;
  readonly addresses: readonly string[];
  readonly os: string;
}

/** What the cloud knows of a device that is offline. */
export interface LastReport {
  readonly heardAt: number | undefined;
  readonly about: About;
  readonly state: State;
  readonly figures: Figures;
}

/** A device that is offline is looked for after this time. */
const lookAgainMs = 10_000;

/** How often an agent without a stream is asked. */
const pollMs = 4000;

/** So many lines of each service are asked for at once, besides those that are known. */
const earlierLines = 1000;

interface Options {
  /** What is shown of a device that is offline; only a cloud knows it. */
  readonly lastReport?: (() => Promise<LastReport>) | undefined;
  /** The key, or the token, may change nothing. */
  readonly isReadOnly?: boolean | undefined;
}

/** What one device is like now, as signals, read from its stream. */
export class DeviceStore {
  readonly client: DeviceClient;
  readonly link = signal<Link>({ is: "loading" });
  readonly hello = signal<Hello | undefined>(undefined);
  readonly about = signal<About | undefined>(undefined);
  readonly state = signal<State | undefined>(undefined);
  readonly figures = signal<Figures | undefined>(undefined);
  readonly events = signal<readonly DeviceEvent[]>([]);
  readonly logs = new LogLines();
  /** The agent has no stream: only what the second version of the API tells is known. */
  readonly isOlder = signal(false);
  /** When the machine has started, by the browser's clock. */
  readonly bootedAt = signal<number | undefined>(undefined);
  /** How much the clock of the device is ahead of the browser's, in milliseconds. */
  readonly clockAheadMs = signal(0);
  /** Whether what is shown is of this connection. Otherwise a click could hit what is no longer there. */
  readonly isFresh = computed(() => this.link.value.is === "live");
  /** Whether the device can be asked to do something: what is shown is true now, and the key does not only read. */
  readonly mayAct = computed(() => this.isFresh.value && !this.isReadOnly);
  readonly isReadOnly: boolean;
  readonly #streamClient: DeviceClient;
  readonly #visibility: Visibility;
  readonly #lastReport: (() => Promise<LastReport>) | undefined;
  readonly #end = new AbortController();

  constructor(connect: Connect, visibility: Visibility, { lastReport, isReadOnly = false }: Options = {}) {
    const send = (request: Request) => fetch(request, { credentials: "omit" });
    this.client = connect(send);
    this.#streamClient = connect(visibility.while(send));
    this.#visibility = visibility;
    this.#lastReport = lastReport;
    this.isReadOnly = isReadOnly;
  }

  /** Reads the stream until `stop`. Connections that end are made again, and a device that is offline is waited for. */
  async start(): Promise<void> {
    const { signal } = this.#end;
    do {
      await this.#read();
      if (this.link.value.is !== "offline" && this.link.value.is !== "reconnecting") return;
      await Promise.race([new Promise((resolve) => setTimeout(resolve, lookAgainMs)), this.#visibility.woken()]);
      await this.#visibility.shown();
    } while (!signal.aborted);
  }

  async #read(): Promise<void> {
    const { signal, wake } = { signal: this.#end.signal, wake: this.#visibility.woken };
    // A key of an application gets no figures of the machine.
    for (const metrics of [true, false]) {
      try {
        const wanted = { state: true, events: true, metrics, logs: 200, signal, wake };
        for await (const line of this.#streamClient.follow(wanted)) this.#take(line);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Refusal)) return this.#fail(error);
        const isScope = error.detail.includes("metrics");
        if (isScope && metrics) continue;
        if (error.reply.status === 404 && (await this.#poll())) return;
        if (error.reply.status === 404 && this.#lastReport) return this.#showLastReport(this.#lastReport);
        this.link.value =
          error.reply.status === 401 ? { is: "refused", why: error.detail } : { is: "failed", why: error.detail };
        return;
      }
    }
  }

  stop(): void {
    this.#end.abort();
  }

  /** Reads log lines that are older than the known ones. Resolves with how many have been put above them. */
  async readEarlierLines(): Promise<number> {
    const tail = String(this.logs.mostOfOne() + earlierLines);
    return this.logs.addEarlier(
      toLines(await new Response(await this.client.serviceLogs({ params: { tail } })).text()),
    );
  }

  /** Asks an agent without a stream, as long as it answers and somebody looks. Resolves with false if there is none. */
  async #poll(): Promise<boolean> {
    const { signal } = this.#end;
    for (let isKnown = false; !signal.aborted; isKnown = true) {
      await this.#visibility.shown();
      try {
        const [apps, device] = await Promise.all([
          this.client.applicationsState({ signal }),
          this.client.device({ signal }),
        ]);
        this.state.value = olderState(apps, device.status === "Idle");
      } catch (error) {
        if (!isKnown) return false;
        this.link.value = { is: "reconnecting", why: String(error), since: Date.now() };
        return true;
      }
      this.isOlder.value = true;
      this.link.value = { is: "live" };
      if (!isKnown) void this.#readAbout();
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
    return true;
  }

  async #showLastReport(read: () => Promise<LastReport>): Promise<void> {
    try {
      const { heardAt, about, state, figures } = await read();
      this.about.value = about;
      this.state.value = state;
      this.figures.value = figures;
      this.link.value = { is: "offline", heardAt };
    } catch (error) {
      if (error instanceof Refusal && error.reply.status === 401)
        this.link.value = { is: "refused", why: error.detail };
      else this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.link.value = { is: "failed", why: error instanceof Error ? error.message : String(error) };
  }

  #take(line: Followed): void {
    switch (line.is) {
      case "hello":
        this.#greet(line);
        return;
      case "state":
        this.state.value = line;
        this.link.value = { is: "live" };
        return;
      case "metrics":
        this.figures.value = figuresIn(line);
        return;
      case "event":
        this.#takeEvent(line);
        return;
      case "log":
        this.logs.add({ ...line, at: line.timestamp });
        return;
      case "lost":
        this.logs.add({ at: Date.now(), service: "", isStdErr: true, message: lostText(line) });
        return;
      case "disconnected":
        if (this.link.value.is !== "reconnecting")
          this.link.value = { is: "reconnecting", why: line.why, since: Date.now() };
        return;
    }
  }

  #greet(hello: Hello): void {
    const known = this.hello.value;
    this.logs.gather();
    this.hello.value = hello;
    this.isOlder.value = false;
    this.clockAheadMs.value = Date.parse(hello.now) - Date.now();
    const bootedAt = Date.parse(hello.bootedAt) - this.clockAheadMs.value;
    this.bootedAt.value = Number.isNaN(bootedAt) ? undefined : bootedAt;
    if (known?.bootId === hello.bootId && known.version === hello.version) return;
    void this.#readAbout();
    if (!known) void this.#readEvents(hello.after);
  }

  #takeEvent(event: DeviceEvent): void {
    this.events.value = [...this.events.value, event].slice(-keptEvents);
    const isStdErr = event.level === "warn" || event.level === "error";
    this.logs.add({ at: Date.parse(event.at), service: "", isStdErr, message: withShortImages(event.text) });
  }

  /** Those that have happened before the page was opened. */
  async #readEvents(last: number): Promise<void> {
    const answer = await this.client
      .events({ params: { after: Math.max(0, last - keptEvents) } })
      .catch(() => undefined);
    if (!answer || !("events" in answer)) return;
    const before = answer.events.filter(({ id }) => id <= last);
    this.events.value = [...before.map((event) => ({ is: "event" as const, ...event })), ...this.events.value];
  }

  async #readAbout(): Promise<void> {
    const [name, info, device] = await Promise.allSettled([
      this.client.deviceName(),
      this.client.deviceInfo(),
      this.client.device(),
    ]);
    const { arch = "", deviceType = "" } = info.status === "fulfilled" ? info.value.info : {};
    this.about.value = {
      name: name.status === "fulfilled" ? name.value.deviceName : "",
      ...{ type: deviceType, arch },
      addresses: device.status === "fulfilled" ? device.value.ip_address.split(" ").filter(Boolean) : [],
      os: device.status === "fulfilled" ? device.value.os_version : "",
    };
  }
}

type AppsOfV2 = Awaited<ReturnType<DeviceClient["applicationsState"]>>;

/** The reference implementation tells no images. */
const olderState = (apps: AppsOfV2, settled: boolean): State => ({
  settled,
  problems: [],
  apps: Object.entries(apps).map(([name, { appId, commit, updateStatus, services }]) => ({
    ...{ appId, name, commit, updateStatus, waits: [] },
    services: Object.fromEntries(
      Object.entries(services).map(([service, { status, image = "", downloadProgress }]) => [
        service,
        { status, image, downloadProgress },
      ]),
    ),
  })),
});

const lostText = (line: LineOf<"lost">): string =>
  line.of === "logs"
    ? `… lines of ${line.service} are missing here`
    : `… ${line.count ?? "some"} events are missing here`;
