import * as z from "zod";
import { empty, endpoint, none } from "../endpoint.ts";
import { Refused } from "./refused.ts";

export const TagKey = z
  .string()
  .regex(/^\S{1,100}$/, { error: "A tag's key must have 1 to 100 characters and no white space" })
  .regex(/^(?!io\.(resin|balena)\.)/, { error: "Tag keys that begin with io.resin. or io.balena. are reserved" });

export const longestTag = 10_000;
/** As devices send it; the public API takes no line breaks. */
export const TagValue = z.string({ error: "expected a text" }).max(longestTag);

export const Tags = z.record(TagKey, TagValue);

export const setTags = endpoint({
  method: "PATCH",
  path: "/device/v3/tags",
  summary: "Set tags of a device; the others stay, and one that is refused refuses all",
  params: none,
  body: z.record(z.string(), Tags).describe("By the uuid of the device: nothing but its own part"),
  replies: { 200: empty, 400: Refused, 401: Refused, 413: Refused },
});

/** The answer to `GET /v7/device_tag?$select=id,tag_key,value`. */
export const TagRows = z.object({ d: z.array(z.object({ id: z.int(), tag_key: z.string(), value: z.string() })) });
/** The answer to `GET /v7/device?$select=id`. */
export const DeviceRows = z.object({ d: z.array(z.object({ id: z.int() })) });
