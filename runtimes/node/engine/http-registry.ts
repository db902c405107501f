import * as z from "zod";
import type { Platform } from "../../../core/model/architecture.ts";
import type { Manifest } from "../../../core/model/image.ts";
import { redact } from "../../../core/model/secrets.ts";
import { messageOf } from "../../../core/model/show.ts";
import type { PullRequest } from "../../../core/ports/engine.ts";
import type { Registry } from "../../../core/ports/registry.ts";
import { pullAuth } from "./registry-auth.ts";
import { causeOf, manifestTypes, parseBytes, readBytes, registryClient } from "./registry-client.ts";

const Digest = z.string().regex(/^[a-z\d]+(?:[.+_-][a-z\d]+)*:[a-zA-Z\d=_-]+$/);
const Size = z.number().int().nonnegative();
const Index = z.object({
  manifests: z.array(
    z.object({
      digest: Digest,
      platform: z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() }).optional(),
    }),
  ),
});
const ImageManifest = z.object({
  config: z.object({ digest: Digest }),
  layers: z.array(z.object({ digest: Digest, size: Size })),
});
const Config = z.object({
  architecture: z.string().optional(),
  rootfs: z.object({ diff_ids: z.array(z.string()) }),
});

/**
 * Asks registries over HTTP, with the credentials of the engine's adapter. The engine's own settings, such as mirrors and
 * registries without TLS, are not known: what such a registry has is unknown.
 */
export class HttpRegistry implements Registry {
  async manifest(image: PullRequest, platforms: readonly Platform[], signal: AbortSignal): Promise<Manifest> {
    const auth = pullAuth(image);
    // A login with an identity token has no password.
    const known = auth?.username === undefined ? undefined : auth;
    const client = registryClient(image.name, { fetch, credentials: () => Promise.resolve(known), signal });
    const read = async (path: string, accept: readonly string[]): Promise<unknown> => {
      const response = await client.get(path, accept);
      if (response.ok) return parseBytes(await readBytes(response));
      await response.body?.cancel();
      throw new Error(`${client.registry} answers ${response.status}`);
    };
    try {
      let found = await read(`manifests/${client.reference}`, manifestTypes);
      const index = Index.safeParse(found);
      if (index.success) {
        const chosen = choose(index.data.manifests, platforms);
        if (typeof chosen !== "string") return chosen;
        found = await read(`manifests/${chosen}`, manifestTypes);
      }
      const { config, layers } = ImageManifest.parse(found);
      const { architecture, rootfs } = Config.parse(await read(`blobs/${config.digest}`, ["application/json"]));
      if (rootfs.diff_ids.length !== layers.length) throw new Error(`${image.name} has layers of an unknown kind`);
      return {
        is: "known",
        layers: layers.map(({ size }, n) => ({ bytes: size, diffId: rootfs.diff_ids[n] ?? "" })),
        ...(architecture !== undefined && { architecture }),
      };
    } catch (error) {
      const secrets = known ? [known.password] : [];
      const fault = causeOf(error);
      const reason = fault instanceof z.ZodError ? `${client.registry} answers with something else` : messageOf(fault);
      return { is: "unknown", reason: redact(reason, { secrets }) };
    }
  }
}

/** The digest of the image that the engine would choose. */
function choose(
  manifests: z.output<typeof Index>["manifests"],
  platforms: readonly Platform[],
): string | Exclude<Manifest, { is: "known" }> {
  // An index also lists attestations, as images for the platform `unknown`.
  const listed = manifests.flatMap(({ digest, platform }) =>
    platform?.os === "linux" ? [{ ...platform, digest }] : [],
  );
  if (platforms.length === 0 || listed.length === 0) return { is: "unknown", reason: "its platforms are not known" };
  for (const { architecture, variant } of platforms) {
    const found = listed.find(
      (one) => one.architecture === architecture && (variant === undefined || one.variant === variant),
    );
    if (found) return found.digest;
  }
  return { is: "foreign", architectures: [...new Set(listed.map(({ architecture }) => architecture))] };
}
