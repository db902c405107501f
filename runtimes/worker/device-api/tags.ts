import { issueMessage } from "../../../core/model/issue.ts";
import * as api from "../../../core/api/cloud/tags.ts";
import { tagsFault } from "../directory/tags.ts";
import { emptyError, sentenceError, type Route } from "../http.ts";
import { deviceRoute, ownPart } from "./route.ts";

const setTags = deviceRoute("setTags", {
  operation: "setTags",
  answer: async (request, { principal: { principal, note } }, { db }) => {
    const own = await ownPart(request, principal);
    if (own instanceof Response) return own;
    note({ uuid: own.uuid });
    const parsed = api.Tags.safeParse(own.part);
    if (!parsed.success)
      return sentenceError(
        400,
        parsed.error.issues
          .map((issue) =>
            issue.code === "invalid_key" ? issueMessage(issue) : `${issue.path.join(".")}: ${issueMessage(issue)}`,
          )
          .join("; "),
      );
    const tags = Object.entries(parsed.data);
    if (tags.length === 0) return sentenceError(400, "No tags were sent to be updated.");
    const keys = tags.map(([key]) => key);
    const fault = tagsFault(db, own.id, keys);
    if (fault !== undefined) return sentenceError(400, fault);
    db.transaction(() => {
      for (const [key, value] of tags)
        db.run(
          `INSERT INTO tags (device_id, tag_key, value) VALUES (?, ?, ?)
           ON CONFLICT (device_id, tag_key) DO UPDATE SET value = excluded.value`,
          ...[own.id, key, value],
        );
    });
    return emptyError(200);
  },
});

export const tagRoutes: readonly Route[] = [setTags];
