import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { registryOf as hostOf } from "../../../core/model/image.ts";
import type { PullRequest } from "../../../core/ports/engine.ts";

const Config = z.looseObject({
  auths: z
    .record(z.string(), z.looseObject({ auth: z.string().optional(), identitytoken: z.string().optional() }))
    .optional(),
});

const hub = "https://index.docker.io/v1/";

/** The engine's address for the registry in an image's name. */
export const registryOf = (name: string): string => hostOf(name) ?? hub;

/**
 * Credentials stored by `docker login` (`$DOCKER_CONFIG/config.json` or `~/.docker/config.json`). Undefined if there are
 * none for this registry. Source: the Docker CLI's reference, "config.json".
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

/** Credentials to pull an image: from the request, else from `docker login`, else the request's fallback. */
export const pullAuth = ({ name, auth, fallback }: PullRequest, folder?: string) =>
  auth ?? registryAuth(name, folder) ?? (fallback && { ...fallback, serveraddress: registryOf(name) });

const bareHost = (url: string): string => url.replace(/^https?:\/\//, "").replace(/\/.*$/, "");

function parseJson(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}
