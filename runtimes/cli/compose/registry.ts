import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";
import type { Credentials } from "../../../core/model/image.ts";
import { messageOf } from "../../../core/model/show.ts";
import { registryAuth } from "../../node/engine/registry-auth.ts";
import {
  causeOf,
  manifestTypes,
  parseBytes,
  readBytes,
  registryClient,
  type RegistryContext,
} from "../../node/engine/registry-client.ts";

/** A registry's answer for an image's name. */
export type RegistryAnswer =
  | { readonly is: "found"; readonly digest: string; readonly platforms: readonly Platform[] }
  | { readonly is: "missing" }
  | { readonly is: "denied"; readonly reason: string }
  | { readonly is: "unreachable"; readonly reason: string };

/** The architecture has Go's name: amd64, arm64, arm, 386, riscv64. */
export type Platform = z.output<typeof Platform>;

interface AskContext extends Pick<RegistryContext, "fetch" | "credentials"> {
  readonly timeoutMs: number;
}

const Platform = z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() });
const Index = z.object({ manifests: z.array(z.object({ platform: Platform.optional() })) });
const Manifest = z.object({ config: z.object({ digest: z.string() }) });

/** Looks an image up. `name` is in the form of `parseImage`, with a tag or a digest. */
export async function askRegistry(name: string, { timeoutMs, ...context }: AskContext): Promise<RegistryAnswer> {
  const { registry, reference, get } = registryClient(name, { ...context, signal: AbortSignal.timeout(timeoutMs) });
  try {
    const response = await get(`manifests/${reference}`, manifestTypes);
    if (response.status === 404) return { is: "missing" };
    if (response.status === 401 || response.status === 403)
      return { is: "denied", reason: `${registry} answers ${response.status}: log in with docker login` };
    if (!response.ok) return { is: "unreachable", reason: `${registry} answers ${response.status}` };
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
    return { is: "unreachable", reason: messageOf(causeOf(error)) };
  }
}

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
): Promise<Credentials | undefined> {
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
