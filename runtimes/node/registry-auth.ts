import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as z from "zod";

const Config = z.looseObject({
  auths: z
    .record(z.string(), z.looseObject({ auth: z.string().optional(), identitytoken: z.string().optional() }))
    .optional(),
});

const hub = "https://index.docker.io/v1/";

/** The registry of an image's name: the part before the first slash, if it looks like a host. */
export function registryOf(name: string): string {
  const [first = "", ...rest] = name.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : hub;
}

/**
 * Credentials as `docker login` keeps them (`$DOCKER_CONFIG/config.json` or `~/.docker/config.json`); undefined when
 * there are none for this registry. Source: the Docker CLI's reference, "config.json".
 */
export function registryAuth(name: string, folder = process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker")) {
  let text: string;
  try {
    text = readFileSync(join(folder, "config.json"), "utf8");
  } catch {
    return undefined;
  }
  const registry = registryOf(name);
  const { data } = z.preprocess(parseJson, Config).safeParse(text);
  const entry = Object.entries(data?.auths ?? {}).find(([key]) => key === registry || bareHost(key) === registry)?.[1];
  if (!entry) return undefined;
  if (entry.identitytoken) return { identitytoken: entry.identitytoken, serveraddress: registry };
  const [username = "", password = ""] = Buffer.from(entry.auth ?? "", "base64")
    .toString()
    .split(/:(.*)/s);
  return username ? { username, password, serveraddress: registry } : undefined;
}

const bareHost = (url: string): string => url.replace(/^https?:\/\//, "").replace(/\/.*$/, "");

function parseJson(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
