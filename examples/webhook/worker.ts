/**
 * Receives the webhooks of a Fairlead cloud in a Worker, and forgets nothing that is not signed:
 *
 *     npx wrangler deploy --name receiver --compatibility-date 2026-10-23 examples/webhook/worker.ts
 *     npx fairlead cloud webhook create https://receiver.<you>.workers.dev
 *     npx wrangler secret put WEBHOOK_SECRET --name receiver        # whsec_…, as printed
 */
export default {
  async fetch(request: Request, { WEBHOOK_SECRET }: { WEBHOOK_SECRET: string }): Promise<Response> {
    const body = await request.text();
    if (!(await isSigned(request.headers, body, WEBHOOK_SECRET))) return new Response("Not signed", { status: 401 });
    const { type, data } = JSON.parse(body);
    // A message may arrive twice: `webhook-id` is the same then.
    console.log(request.headers.get("webhook-id"), type, data.uuid ?? "", JSON.stringify(data.data));
    return new Response(null, { status: 204 });
  },
};

/** As https://www.standardwebhooks.com says. A message that is older than five minutes may be a copy. */
async function isSigned(headers: Headers, body: string, secret: string): Promise<boolean> {
  const timestamp = headers.get("webhook-timestamp") ?? "";
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) < 300)) return false;
  const bytes = (text: string) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const how = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytes(secret.replace("whsec_", "")), how, false, ["verify"]);
  const content = new TextEncoder().encode(`${headers.get("webhook-id")}.${timestamp}.${body}`);
  for (const one of (headers.get("webhook-signature") ?? "").split(" "))
    if (/^v1,[\w+/]{43}=$/.test(one) && (await crypto.subtle.verify("HMAC", key, bytes(one.slice(3)), content)))
      return true;
  return false;
}
