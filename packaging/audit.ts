import { spawnSync } from "node:child_process";
import * as z from "zod";

/**
 * `npm run audit`: fails when a package that we ship has a known vulnerability. Where the registry does not answer that
 * question (a mirror, no network), it says so and passes: nothing is known then.
 */

/** What `npm audit --json` prints; a `message` when the registry does not answer. */
const Audit = z.object({
  vulnerabilities: z.record(
    z.string(),
    z.object({
      severity: z.string(),
      range: z.string(),
      via: z.array(z.union([z.string(), z.object({ title: z.string(), url: z.string() })])),
    }),
  ),
});

const Refused = z.object({ message: z.string() });

const { stdout } = spawnSync("npm", ["audit", "--omit=dev", "--json"], { encoding: "utf8" });
const answer = parse(stdout);
const audit = Audit.safeParse(answer).data;
const found = Object.entries(audit?.vulnerabilities ?? {});

if (!audit)
  console.log(`Not audited, the registry does not answer: ${Refused.safeParse(answer).data?.message ?? "no JSON"}`);
else if (found.length === 0) console.log("No known vulnerability in what is shipped");
for (const [name, { severity, range, via }] of found) {
  const reasons = via.map((one) => (typeof one === "string" ? `by ${one}` : `${one.title} ${one.url}`));
  console.error(`${name} ${range} (${severity}): ${reasons.join("; ")}`);
}
process.exitCode = found.length > 0 ? 1 : 0;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
