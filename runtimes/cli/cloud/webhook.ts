import * as api from "../../../core/api/admin/index.ts";
import { UsageError } from "../../node/settings-error.ts";
import { command, fleetOption, yesOption } from "../command.ts";
import { cloudOf, expectStatus, findFleet } from "./client.ts";

export const list = command({
  options: {},
  run: async ({ environment, options, show }) => {
    const all = expectStatus(await cloudOf({ environment }).webhooks.reply(), 200);
    show(
      options.json
        ? all
        : all.map(({ id, url, fleetId, kinds, failures, lastError, disabledAt }) => ({
            ...{ id, url, fleet: fleetId ?? "(all)" },
            kinds: kinds.length === api.changeKinds.length ? "(all)" : kinds.join(" "),
            state: disabledAt === null ? (failures === 0 ? "works" : `failing (${failures})`) : "disabled",
            error: lastError,
          })),
      "There is no webhook yet. To create one: fairlead cloud webhook create <url>",
    );
  },
});

export const create = command({
  options: {
    fleet: { ...fleetOption, hint: "only changes of this fleet" },
    kinds: { type: "string", value: "<kinds>", hint: `only these, separated by commas: ${api.changeKinds.join(", ")}` },
  },
  about: "docs/events.md says what is sent, and how to verify the signature.",
  run: async ({ words: [url = ""], options, environment, say }) => {
    const kinds = options.kinds?.split(",").map(kindOf);
    const cloud = cloudOf({ environment });
    const of = options.fleet === undefined ? {} : { fleetId: (await findFleet(cloud, options.fleet)).id };
    const made = expectStatus(await cloud.createWebhook.reply({ body: { url, ...of, ...(kinds && { kinds }) } }), 201);
    say(`${made.secret}\n\nThis secret signs the messages. It is shown only now. The webhook's id is ${made.id}`, made);
  },
});

function kindOf(word: string): api.ChangeKind {
  const kind = api.changeKinds.find((one) => one === word);
  if (kind === undefined)
    throw new UsageError(`--kinds: expected some of ${api.changeKinds.join(", ")}, but got ${JSON.stringify(word)}`);
  return kind;
}

export const enable = command({
  options: {},
  run: async ({ words: [webhookId = ""], environment, say }) => {
    const cloud = cloudOf({ environment });
    const changed = expectStatus(
      await cloud.changeWebhook.reply({ params: { webhookId }, body: { enabled: true } }),
      200,
    );
    say("The webhook goes on with the change that it has not accepted", changed);
  },
});

export const remove = command({
  options: { yes: yesOption },
  run: async ({ words: [webhookId = ""], environment, confirm, say }) => {
    await confirm(`Delete the webhook ${webhookId}?`);
    const deleted = expectStatus(await cloudOf({ environment }).deleteWebhook.reply({ params: { webhookId } }), 200);
    say("The webhook gets nothing from now on", deleted);
  },
});
