import { pageResponse } from "../../core/http/page.ts";
import html from "../page/built/fleet.html";

let tag: Promise<string> | undefined;

/** The page of the fleets, for a browser. It contains nothing of the cloud, so it needs no token. */
export async function answerPage(request: Request): Promise<Response> {
  tag ??= digestOf(html);
  return pageResponse(request, await tag, () => html);
}

async function digestOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}
