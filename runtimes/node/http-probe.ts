import { request } from "node:http";
import { messageOf } from "../../core/model/show.ts";
import type { Probe, ProbeResult } from "../../core/ports/probe.ts";

const limitMs = 1000;

/** Each request has a connection of its own, which is closed with the first line of the answer. No proxy is used. */
export const httpProbe: Probe = {
  get: (url, given) =>
    new Promise((resolve) => {
      const signal = AbortSignal.any([given, AbortSignal.timeout(limitMs)]);
      const answer = (result: ProbeResult) => {
        asked.destroy();
        resolve(result);
      };
      const asked = request(url, { agent: false, signal, headers: { "user-agent": "fairlead" } });
      asked.on("response", ({ statusCode = 0 }) => answer({ status: statusCode }));
      asked.on("error", (error) => answer({ error: signal.aborted ? "does not answer within 1 s" : saidError(error) }));
      // The only event after an unasked change to another protocol.
      asked.on("close", () => answer({ error: "answers in another protocol" }));
      asked.end();
    }),
};

function saidError(error: Error): string {
  const code = "code" in error ? String(error.code) : "";
  return sentences[code] ?? `does not answer HTTP (${code || messageOf(error)})`;
}

const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses the connection",
  ECONNRESET: "closes the connection without an answer",
  EHOSTUNREACH: "cannot be reached",
  ENETUNREACH: "cannot be reached",
};
