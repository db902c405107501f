import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import type { Cloud } from "../../core/ports/cloud.ts";
import { logStream } from "./cloud/logs.ts";
import { register } from "./cloud/register.ts";
import { mayPull, registryToken, type TokenSigner } from "./cloud/registry.ts";
import { report } from "./cloud/report.ts";
import { odata, setTags } from "./cloud/resources.ts";
import { defaultPollMs, state } from "./cloud/state.ts";
import { Refusal, Tables, withoutDigest, type Device, type TablesOptions } from "./cloud/tables.ts";
import { empty, html, json, keyOf, unpacked, type Answer, type Question } from "./cloud/wire.ts";

export type { Device, Release } from "./cloud/tables.ts";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly status: number;
}

/**
 * A cloud with the recorded behaviour of the public cloud (test/cloud/recorded), including its refusals. Its rules are in
 * `cloud/`, one file for each resource. It answers over HTTP and, without HTTP, in `ask`. test/cloud/fake-cloud.test.ts
 * compares it with the recordings.
 */
export class FakeCloud extends Tables {
  readonly asked: Asked[] = [];
  /** If set, the cloud gives out tokens for a registry, signed with this key. */
  signer?: TokenSigner;
  readonly #next: { readonly path: RegExp; readonly answer: Answer | "lost" }[] = [];
  #server: Server | undefined;
  #port = 0;
  /** `ask` fails as if the cloud were unreachable. */
  #away = false;

  constructor({ now = () => Date.now(), shortestPollMs = defaultPollMs }: Partial<TablesOptions> = {}) {
    super({ now, shortestPollMs });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts answering over HTTP; after `stop`, on the same port. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method = "", headers } = request;
        const url = new URL(request.url ?? "", "http://cloud");
        const answer = this.#answer({ method, url, headers, key: keyOf(headers, url), body: Buffer.concat(chunks) });
        if (answer === "lost") request.socket.destroy();
        else response.writeHead(answer.status, answer.headers).end(answer.body);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Stops answering over HTTP. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }

  /** Makes `ask` fail as if the cloud were unreachable, or work again. */
  setAway(away: boolean): void {
    this.#away = away;
  }

  /** The same cloud without HTTP, for tests with a simulated time. */
  readonly ask: Cloud = ({ method, path, key, headers = {}, body = "" }, signal) => {
    if (signal.aborted) return Promise.reject(new Error("https://api.example.com does not answer: aborted"));
    if (this.#away) return Promise.reject(new Error("https://api.example.com does not answer: connect ECONNREFUSED"));
    const url = new URL(path, "https://api.example.com");
    const answer = this.#answer({ method, url, headers, key, body: Buffer.from(body) });
    return answer === "lost"
      ? Promise.reject(new Error("https://api.example.com does not answer: socket hang up"))
      : Promise.resolve({
          status: answer.status,
          header: (name) => answer.headers?.[name],
          text: answer.body ?? "",
        });
  };

  /** Answers the next request for such a path with `answer`. `lost`: the request has its effect, but gets no answer. */
  answerNext(path: RegExp, answer: Answer | "lost"): void {
    this.#next.push({ path, answer });
  }

  /** Locations of images that are missing in its registry. */
  readonly lostImages = new Set<string>();

  /** Its registry's answer to an engine that pulls an image with these credentials. Throws the registry's message. */
  readonly registry = (
    name: string,
    credentials?: { readonly username: string; readonly password: string },
  ): object => {
    const location = withoutDigest(name).replace(/:latest$/, "");
    if (!mayPull(this, credentials)) throw new Error("unauthorized: authentication required");
    if (!this.hasImage(location) || this.lostImages.has(location))
      throw new Error(`manifest for ${name} not found: manifest unknown`);
    return {};
  };

  /** The state of a device as the cloud's web pages show it. */
  shown(device: Device): object {
    const { name, fleet, running, updateStatus, fields, installs, askedAt } = device;
    const heard = askedAt !== undefined && this.now() - askedAt < 1.5 * defaultPollMs;
    const services = [...installs].flatMap(([image, { status, progress, commit }]) => {
      const row = Object.entries(this.releases.get(commit)?.services ?? {}).find(([, one]) => one.image === image);
      const text = `${status ?? "nothing"}${progress === null ? "" : ` ${progress}%`}`;
      return status === "deleted" ? [] : [[`${commit} ${row?.[0] ?? image}`, text] as const];
    });
    return {
      device: `${name} of ${fleet.name}, ${heard ? "online" : "offline"}, ${String(fields["os_version"])}`,
      release: running,
      update: updateStatus,
      services: Object.fromEntries(services.sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  }

  #answer(question: Question): Answer | "lost" {
    const { method, url, headers } = question;
    const at = this.#next.findIndex(({ path }) => path.test(url.pathname));
    const instead = at < 0 ? undefined : this.#next.splice(at, 1)[0]?.answer;
    const answer = instead === undefined || instead === "lost" ? this.#route(question) : instead;
    const body = String(unpacked(question) ?? "");
    this.asked.push({ method, path: url.pathname, headers, body, status: answer.status });
    return instead === "lost" ? "lost" : answer;
  }

  #route(packed: Question): Answer {
    const { method, url } = packed;
    const path = url.pathname.replace(/(.)\/$/, "$1");
    const body = unpacked(packed);
    // The log stream answers 201 even if the body cannot be decompressed.
    if (!body) return path.endsWith("/log-stream") ? empty(201) : html(400, "Bad Request");
    const question = { ...packed, body };
    const [, uuid = ""] = /^\/device\/v[23]\/([^/]+)\/(?:state|log-stream)$/.exec(path) ?? [];
    try {
      if (/^\/device\/v3\/[^/]+\/state$/.test(path) && (method === "GET" || method === "HEAD"))
        return state(this, uuid, question);
      if (method === "POST" && path === "/device/register") return register(this, question);
      if (method === "PATCH" && path === "/device/v3/state") return report(this, question);
      if (method === "PATCH" && path === "/device/v3/tags") return setTags(this, question);
      if (method === "POST" && path.endsWith("/log-stream")) return logStream(this, uuid, question);
      if (method === "GET" && path === "/auth/v1/token") return registryToken(this, question);
      if (path.startsWith("/v7/")) return odata(this, question);
      return html(404, "Not Found");
    } catch (error) {
      if (error instanceof Refusal) return json(error.status, error.message);
      throw error;
    }
  }
}

/** Starts a cloud over HTTP that stops at the end of the test. */
export async function startCloud(options: Partial<TablesOptions> = {}): Promise<FakeCloud> {
  const cloud = new FakeCloud(options);
  await cloud.start();
  onTestFinished(() => cloud.stop());
  return cloud;
}
