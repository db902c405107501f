import * as z from "zod";
import type { Tables } from "./tables.ts";
import { empty, json, keyRequired, parse, type Answer, type Question } from "./wire.ts";

/** `PATCH /device/v3/tags`: one bad tag rejects all of them. */
export function setTags(tables: Tables, { key, body }: Question): Answer {
  if (!tables.isKey(key)) return keyRequired;
  const device = tables.deviceOf(key);
  const parsed = z.record(z.string(), z.record(z.string().min(1).max(100), z.string())).safeParse(parse(body));
  if (!parsed.success) return empty(400);
  const tags = device && parsed.data[device.uuid];
  if (!tags) return empty(401);
  if (Object.keys(tags).length === 0) return json(400, "No tags were sent to be updated.");
  if (Object.keys(tags).some((name) => /\s|^io\.(resin|balena)\./.test(name))) return empty(400);
  Object.assign(device.tags, tags);
  return empty(200);
}

/** The requests of a device to `/v7/`: read its id and tags, set its name. */
export function odata(tables: Tables, { method, url, body, key }: Question): Answer {
  const device = tables.deviceOf(key);
  if (!device) return empty(401);
  const path = decodeURI(url.pathname + url.search);
  if (method === "PATCH") {
    const parsed = z.object({ device_name: z.string().max(255) }).safeParse(parse(body));
    if (!parsed.success) return empty(500);
    if (path === `/v7/device(${device.id})`) device.name = parsed.data.device_name;
    return empty(200);
  }
  if (path.startsWith("/v7/device_tag?"))
    return json(200, {
      d: Object.entries(device.tags).map(([tag_key, value], n) => ({ id: 1 + n, tag_key, value })),
    });
  return json(200, { d: path.includes(`uuid eq '${device.uuid}'`) ? [{ id: device.id }] : [] });
}
