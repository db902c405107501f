import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import type { Environment } from "../io.ts";
import { SettingsError, UsageError } from "../../node/settings-error.ts";

/** The cloud that the commands use, and the token for it. */
const Account = z.object({ url: z.string(), token: z.string() });
export type Account = z.output<typeof Account>;

const accountFile = (environment: Environment): string =>
  join(environment["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "fairlead", "cloud.json");

/** Read from the environment, else from the file of `fairlead cloud init`. Throws `SettingsError` if neither has it. */
export function readAccount(environment: Environment): Account {
  const file = accountFile(environment);
  const kept = readKept(file);
  const url = environment["FAIRLEAD_CLOUD_URL"] || kept?.url;
  const token = environment["FAIRLEAD_CLOUD_TOKEN"] || kept?.token;
  if (url && token) return { url: cloudUrl(url), token };
  throw new SettingsError(
    "Which cloud? Run: fairlead cloud init <url> — or set FAIRLEAD_CLOUD_URL and FAIRLEAD_CLOUD_TOKEN",
  );
}

/** Writes the account; only its owner can read the file, since it contains a token. Returns the path. */
export const keepAccount = (account: Account, environment: Environment): string => {
  const file = accountFile(environment);
  writeSecretFile(file, `${JSON.stringify(account, undefined, 2)}\n`);
  return file;
};

/** Replaces the file in one step; only its owner can read it. */
export function writeSecretFile(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const beside = `${file}.${process.pid}.new`;
  writeFileSync(beside, text, { mode: 0o600, flush: true });
  renameSync(beside, file);
}

/** The URL of a cloud: http or https, without a slash at the end. */
export function cloudUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url.href.replace(/\/+$/, "");
  throw new UsageError(
    `Expected the cloud's URL, such as https://fairlead.example.workers.dev, but got ${JSON.stringify(text)}`,
  );
}

function readKept(file: string): Account | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
  try {
    return Account.parse(JSON.parse(text));
  } catch {
    throw new SettingsError(`${file} is not what fairlead cloud init writes; remove it, and run that again`);
  }
}
