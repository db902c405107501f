import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";
import { registryOf } from "../../../core/model/image.ts";
import { messageOf } from "../../../core/model/show.ts";
import { registryAuth } from "../../node/engine/registry-auth.ts";

/**
 * A registry's answer for an image's name. Sources: the OCI distribution specification, "Pulling manifests"; for tokens,
 * distribution.github.io/distribution/spec/auth/token.
 */
export type RegistryAnswer =
  | { readonly is: "found"; readonly digest: string; readonly platforms: readonly Platform[] }
  | { readonly is: "missing" }
  | { readonly is: "denied"; readonly reason: string }
  | { readonly is: "unreachable"; readonly reason: string };

/** The architecture has Go's name: amd64, arm64, arm, 386, riscv64. */
export type Platform = z.output<typeof Platform>;

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

export interface RegistryContext {
  readonly fetch: typeof globalThis.fetch;
  /** The credentials for a registry host; `undefined` means Docker Hub. */
  readonly credentials: (host: string | undefined) => Promise<RegistryCredentials | undefined>;
  readonly timeoutMs: number;
}

const indexTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];
const imageTypes = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];

const Platform = z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() });
const Index = z.object({ manifests: z.array(z.object({ platform: Platform.optional() })) });
const Manifest = z.object({ config: z.object({ digest: z.string() }) });
const Token = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/** Looks an image up. `name` is in the form of `parseImage`, with a tag or a digest. */
export async function askRegistry(name: string, context: RegistryContext): Promise<RegistryAnswer> {
  const host = registryOf(name);
  const { repository, reference } = partsOf(host === undefined ? name : name.slice(host.length + 1), host);
  // Like the engine: HTTP without TLS only for this machine.
  const scheme = host !== undefined && /^(localhost|127\.[\d.]+|\[::1\])(:|$)/.test(host) ? "http" : "https";
  const base = `${scheme}://${host ?? "registry-1.docker.io"}/v2/${repository}`;
  const signal = AbortSignal.timeout(context.timeoutMs);
  let authorization: string | undefined;

  const get = async (path: string, accept: readonly string[]): Promise<Response> => {
    const ask = () =>
      context.fetch(`${base}/${path}`, {
        headers: { accept: accept.join(", "), ...(authorization !== undefined && { authorization }) },
        signal,
      });
    const response = await ask();
    if (response.status !== 401 || authorization !== undefined) return response;
    await response.body?.cancel();
    authorization = await authorize(response.headers.get("www-authenticate") ?? "", host, context, signal);
    return authorization === undefined ? response : ask();
  };

  try {
    const response = await get(`manifests/${reference}`, [...indexTypes, ...imageTypes]);
    if (response.status === 404) return { is: "missing" };
    if (response.status === 401 || response.status === 403)
      return { is: "denied", reason: `${host ?? "Docker Hub"} answers ${response.status}: log in with docker login` };
    if (!response.ok) return { is: "unreachable", reason: `${host ?? "Docker Hub"} answers ${response.status}` };
    const body = await readBytes(response);
    const digest = response.headers.get("docker-content-digest") ?? (await sha256(body));
    const manifest: unknown = parseBytes(body);
    const index = Index.safeParse(manifest);
    if (index.success) {
      // An index also lists attestations, as images for the platform `unknown`.
      const platforms = index.data.manifests.flatMap(({ platform }) => platform ?? []);
      return { is: "found", digest, platforms: platforms.filter(({ os }) => os !== "unknown") };
    }
    const blob = await get(`blobs/${Manifest.parse(manifest).config.digest}`, ["application/json"]);
    if (!blob.ok) return { is: "found", digest, platforms: [] };
    return { is: "found", digest, platforms: [Platform.parse(parseBytes(await readBytes(blob)))] };
  } catch (error) {
    // The message of fetch has no reason; its cause has.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { is: "unreachable", reason: messageOf(cause) };
  }
}

function partsOf(path: string, host: string | undefined): { repository: string; reference: string } {
  const at = path.indexOf("@");
  const colon = path.lastIndexOf(":");
  const [name, reference] =
    at >= 0
      ? [path.slice(0, at).replace(/:[^/]*$/, ""), path.slice(at + 1)]
      : [path.slice(0, colon), path.slice(colon + 1)];
  return { repository: host === undefined && !name.includes("/") ? `library/${name}` : name, reference };
}

/** The Authorization header for a challenge. Undefined if it cannot be answered. */
async function authorize(
  challenge: string,
  host: string | undefined,
  { fetch, credentials }: RegistryContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  const known = await credentials(host);
  const basic = known && `Basic ${Buffer.from(`${known.username}:${known.password}`).toString("base64")}`;
  if (/^basic\b/i.test(challenge)) return basic;
  if (!/^bearer\b/i.test(challenge)) return undefined;
  const fields = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
  );
  const { realm, service, scope } = fields;
  if (!realm || !URL.canParse(realm)) return undefined;
  const url = new URL(realm);
  if (service) url.searchParams.set("service", service);
  if (scope) url.searchParams.set("scope", scope);
  // The password is sent without TLS only to this machine.
  const isSafe = url.protocol === "https:" || /^(localhost|127\.|\[::1\])/.test(url.hostname);
  const response = await fetch(url, { headers: basic !== undefined && isSafe ? { authorization: basic } : {}, signal });
  if (!response.ok) {
    await response.body?.cancel();
    return undefined;
  }
  const { token, access_token } = Token.parse(parseBytes(await readBytes(response)));
  const bearer = token ?? access_token;
  return bearer === undefined ? undefined : `Bearer ${bearer}`;
}

/** Source: the OCI distribution specification, "Pushing manifests": registries accept manifests of 4 MB. */
const longestAnswer = 4 * 1024 * 1024;

/** Throws for an answer that is too large to be a manifest, an image's configuration or a token. */
async function readBytes({ body, url }: Response): Promise<Buffer<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body ?? []) {
    size += part.length;
    if (size > longestAnswer)
      throw new Error(
        `${new URL(url).host} answers with more than ${longestAnswer} bytes, where a manifest was expected`,
      );
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const parseBytes = (bytes: Buffer): unknown => JSON.parse(bytes.toString());

async function sha256(bytes: Buffer<ArrayBuffer>): Promise<string> {
  return `sha256:${Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex")}`;
}

const Helpers = z.object({
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
const FromHelper = z.object({ Username: z.string(), Secret: z.string() });

/**
 * The credentials of `docker login`, from a helper program or from Docker's config.json. A helper is a program
 * `docker-credential-<name>`; source: github.com/docker/docker-credential-helpers.
 */
export async function dockerCredentials(
  host: string | undefined,
  folder = process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker"),
): Promise<RegistryCredentials | undefined> {
  const server = host ?? "https://index.docker.io/v1/";
  const text = await readFile(join(folder, "config.json"), "utf8").catch(() => "{}");
  const { credsStore, credHelpers = {} } = Helpers.safeParse(parseJson(text)).data ?? {};
  const helper = credHelpers[server] ?? credHelpers[host ?? "docker.io"] ?? credsStore;
  if (helper !== undefined && /^[\w-]+$/.test(helper)) {
    const found = FromHelper.safeParse(parseJson(await answerOf(`docker-credential-${helper}`, server)));
    if (found.success) return { username: found.data.Username, password: found.data.Secret };
  }
  const kept = registryAuth(host === undefined ? "image:latest" : `${host}/image:latest`, folder);
  return kept?.username !== undefined ? { username: kept.username, password: kept.password } : undefined;
}

/** The output of a helper. A helper without credentials for the server ends with status 1. */
async function answerOf(program: string, server: string): Promise<string> {
  const running = promisify(execFile)(program, ["get"], { timeout: 10_000 });
  running.child.stdin?.on("error", () => undefined);
  running.child.stdin?.end(server);
  return running.then(
    ({ stdout }) => stdout,
    () => "",
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
