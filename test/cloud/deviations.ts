/**
 * Differences between what our agent sends and what the reference implementation sent, with reasons. golden.test.ts
 * fails for a difference that is not listed here, and for a listed difference that it does not find.
 */
export const deviations: Readonly<Record<string, string>> = {
  "POST /device/register: no user":
    "It is sent when config.json names one; the cloud registers a device without it all the same.",
  "GET /device/v3/:uuid/state: header pragma":
    "The runtime's fetch adds it to every question with an If-None-Match; of the two headers, the cloud looks at the other.",
  "GET /device/v3/:uuid/state: header cache-control":
    "Without it, the runtime's fetch adds `no-cache`, and the cloud answers every poll with 200 and the whole state.",
  "POST /device/v2/:uuid/log-stream: a request for each batch":
    "The original keeps one request open, to which 201 is answered when it ends: until then nobody knows which lines have arrived. A batch of at most 50 lines each half second is what the cloud keeps whole, and its 201 is what moves our cursor.",
  "PATCH /device/v3/state: download_progress is null when there is none":
    "Left out, the last number stays: 50 % of a service that runs (recorded: `after running`).",
};
