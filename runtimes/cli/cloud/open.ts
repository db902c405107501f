import { command } from "../command.ts";
import { browserOf, openAddress } from "../device/open.ts";
import { readAccount } from "./account.ts";
import { cloudOf, expectStatus } from "./client.ts";

/** The browser exchanges it at once for the session of its tab. */
const lifetimeSeconds = 60;

export const open = command({
  options: {
    print: { type: "boolean", hint: "print the address, which signs in for 60 seconds, and start nothing" },
  },
  about:
    "A token that ends after 60 seconds is behind # in the address: browsers do not send that part, and the page removes it at once. Without a browser, such as over ssh, the address is printed without it.",
  run: async ({ options, say, environment }) => {
    const page = `${readAccount(environment).url}/`;
    const session = await cloudOf({ environment }).createSession.reply({ body: { lifetimeSeconds } });
    const signedIn = `${page}#token=${encodeURIComponent(expectStatus(session, 201).token)}`;
    if (options.print) return say(signedIn, { url: signedIn });
    const browser = browserOf(environment);
    if (browser === undefined)
      return say(`Open ${page} in a browser. To be signed in by the address: --print`, { url: page });
    await openAddress(browser, signedIn);
    say(`The browser opens ${page}`, { url: page });
  },
});
