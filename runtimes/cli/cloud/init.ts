import * as api from "../../../core/api/admin/index.ts";
import { UsageError } from "../../node/settings-error.ts";
import { command } from "../command.ts";
import { cloudUrl, keepAccount } from "./account.ts";
import { clientOf, expectStatus } from "./client.ts";

export const init = command({
  options: {
    token: { type: "string", hint: "the token; without it, it is asked for, or read from standard input" },
  },
  run: async ({ words: [given = ""], options, environment, ask, say }) => {
    const url = cloudUrl(given);
    const token =
      options.token ??
      environment["FAIRLEAD_CLOUD_TOKEN"] ??
      (await ask("The token, or the admin secret: ", { secret: true }));
    if (token.trim() === "") throw new UsageError("Expected a token: --token, or a line on standard input");
    const account = { url, token: token.trim() };
    const who = expectStatus(await clientOf(account).whoami.reply(), 200);
    const file = keepAccount(account, environment);
    say(`${who.tokenId} may ${permissionsOf(who)} in ${fleetsOf(who.fleets)} of ${url}. Kept in ${file}`, {
      url,
      ...who,
    });
  },
});

function permissionsOf({
  write,
  secrets,
  manage,
  shell,
}: Pick<api.Token, "write" | "secrets" | "manage" | "shell">): string {
  const given = [
    "read",
    ...(write ? ["write"] : []),
    ...(secrets ? ["see secrets"] : []),
    ...(manage ? ["manage"] : []),
    ...(shell ? ["open shells"] : []),
  ];
  return given.length === 1 ? "read" : `${given.slice(0, -1).join(", ")} and ${given.at(-1)}`;
}

const fleetsOf = (fleets: readonly number[] | "all"): string =>
  fleets === "all" ? "all fleets" : `fleets ${fleets.join(", ")}`;
