import * as z from "zod";
import { registryOf, type Credentials } from "../../../core/model/image.ts";

/**
 * Requests to the registry of one image. Sources: the OCI distribution specification, "Pulling manifests"; for tokens,
 * distribution.github.io/distribution/spec/auth/token.
 */
export interface RegistryClient {
  /** The registry, for messages. */
  readonly registry: string;
  /** The tag or digest in the image's name. */
  readonly reference: string;
  /** Requests a path of the image's repository. */
  readonly get: (path: string, accept: readonly string[]) => Promise<Response>;
}

export interface RegistryContext {
  readonly fetch: typeof globalThis.fetch;
  /** The credentials for a registry host; `undefined` means Docker Hub. */
  readonly credentials: (host: string | undefined) => Promise<Credentials | undefined>;
  readonly signal: AbortSignal;
}

/** The types of an index, which lists an image for several platforms, and of the image for one of them. */
export const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];

const Token = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/** `name` is in the form of `parseImage`, with a tag or a digest. */
export function registryClient(name: string, context: RegistryContext): RegistryClient {
  const host = registryOf(name);
  const { repository, reference } = partsOf(host === undefined ? name : name.slice(host.length + 1), host);
  // Like the engine: HTTP without TLS only for this machine.
  const scheme = host !== undefined && /^(localhost|127\.[\d.]+|\[::1\])(:|$)/.test(host) ? "http" : "https";
  const base = `${scheme}://${host ?? "registry-1.docker.io"}/v2/${repository}`;
  let authorization: string | undefined;
  return {
    registry: host ?? "Docker Hub",
    reference,
    get: async (path, accept) => {
      const ask = () =>
        follow(
          new URL(`${base}/${path}`),
          { accept: accept.join(", "), ...(authorization && { authorization }) },
          context,
        );
      const response = await ask();
      if (response.status !== 401 || authorization !== undefined) return response;
      await response.body?.cancel();
      authorization = await authorize(response.headers.get("www-authenticate") ?? "", host, context);
      return authorization === undefined ? response : ask();
    },
  };
}

const mostRedirects = 3;

/** Follows redirects, as to a store of blobs. Credentials are for the registry only, and TLS is not given up on the way. */
async function follow(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { fetch, signal }: RegistryContext,
): Promise<Response> {
  const { authorization: _, ...anonymous } = headers;
  for (let at = url, redirects = 0; ; redirects++) {
    const response = await fetch(at, {
      headers: at.origin === url.origin ? headers : anonymous,
      redirect: "manual",
      signal,
    });
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    if (redirects >= mostRedirects) throw new Error(`${url.host} redirects more than ${mostRedirects} times`);
    const next = new URL(location, at);
    if (next.protocol !== "https:" && next.origin !== url.origin)
      throw new Error(`${url.host} redirects to ${next.host} without TLS`);
    at = next;
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
  { fetch, credentials, signal }: RegistryContext,
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
  const headers: Readonly<Record<string, string>> = basic !== undefined && isSafe ? { authorization: basic } : {};
  const response = await fetch(url, { headers, signal });
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
export async function readBytes({ body, url }: Response): Promise<Buffer<ArrayBuffer>> {
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

export const parseBytes = (bytes: Buffer): unknown => JSON.parse(bytes.toString());

/** The message of `fetch` has no reason; its cause has. */
export const causeOf = (error: unknown): unknown =>
  error instanceof Error && error.cause instanceof Error ? error.cause : error;
