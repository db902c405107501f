import type { Entry } from "./command.ts";

const status = () => import("./device/status.ts");
const local = () => import("./device/local.ts");
const service = () => import("./device/service.ts");
const update = () => import("./device/update.ts");
const lock = () => import("./device/lock.ts");
const fleet = () => import("./cloud/fleet.ts");
const token = () => import("./cloud/token.ts");
const device = () => import("./cloud/device.ts");
const queued = () => import("./cloud/queued.ts");
const release = () => import("./cloud/release.ts");
const webhook = () => import("./cloud/webhook.ts");
const variables = () => import("./cloud/variables.ts");

/** Every command. The module of a command is loaded when the command is chosen: a board has little memory. */
export const commands: readonly Entry[] = [
  {
    usage: "agent",
    summary: "keep the containers of this device in their target state, and answer the balena Supervisor API",
    load: async () => (await import("./agent.ts")).agent,
  },
  {
    usage: "doctor",
    summary: "list the parts of this machine that the agent uses; for missing parts, the effect and the fix",
    load: async () => (await import("./doctor.ts")).doctor,
  },
  {
    usage: "join <url>",
    summary: "make this device a member of a fleet",
    load: async () => (await import("./join.ts")).join,
  },
  {
    usage: "open",
    summary: "open the page of this device in a browser",
    load: async () => (await import("./device/open.ts")).open,
  },
  { usage: "status", summary: "show what this device runs, and its cloud", load: async () => (await status()).status },
  { usage: "ps", summary: "list the services", load: async () => (await status()).ps },
  {
    usage: "up [compose file]",
    summary: "run a compose file on the device: what docker compose up -d is to Docker",
    load: async () => (await local()).up,
  },
  {
    usage: "plan [compose file]",
    summary: "show what up would change, and change nothing",
    load: async () => (await import("./device/plan.ts")).plan,
  },
  {
    usage: "history [service]",
    summary: "show when and why containers were replaced, and what people did",
    load: async () => (await import("./device/history.ts")).history,
  },
  {
    usage: "events",
    summary: "print what has happened on the device, and with --follow what happens",
    load: async () => (await import("./device/events.ts")).events,
  },
  { usage: "down [app]", summary: "remove the containers of an application", load: async () => (await local()).down },
  {
    usage: "logs [service]",
    summary: "print what services write",
    load: async () => (await import("./device/logs.ts")).logs,
  },
  {
    usage: "exec <service> [command]…",
    summary: "run a command in a service",
    load: async () => (await import("./device/exec.ts")).exec,
  },
  {
    usage: "top [service]",
    summary: "show what services use, or the processes of one",
    load: async () => (await import("./device/top.ts")).top,
  },
  { usage: "restart [service]", summary: "restart services", load: async () => (await service()).restart },
  { usage: "stop [service]", summary: "stop services", load: async () => (await service()).stop },
  { usage: "start [service]", summary: "start services that were stopped", load: async () => (await service()).start },
  {
    usage: "purge [app]",
    summary: "remove an application's volumes, and start it anew",
    load: async () => (await service()).purge,
  },
  {
    usage: "update status [app]",
    summary: "show where the update of an application stands",
    load: async () => (await update()).status,
  },
  {
    usage: "update apply [app]",
    summary: "consent to an update that waits for it",
    load: async () => (await update()).apply,
  },
  {
    usage: "update confirm [app]",
    summary: "confirm that a new release works",
    load: async () => (await update()).confirm,
  },
  {
    usage: "update rollback [app]",
    summary: "go back to the committed release",
    load: async () => (await update()).rollback,
  },
  {
    usage: "update retry [app]",
    summary: "try a release again that has failed",
    load: async () => (await update()).retry,
  },
  { usage: "lock", summary: "list who holds up updates, and why", load: async () => (await lock()).list },
  {
    usage: "lock take [service]",
    summary: "take a lease: no update until it ends",
    load: async () => (await lock()).take,
  },
  { usage: "lock renew <id>", summary: "renew a lease", load: async () => (await lock()).renew },
  { usage: "lock release <id>", summary: "release a lease", load: async () => (await lock()).release },
  {
    usage: "lock run [service] -- <command>…",
    summary: "run a command under a lease: no update until it ends",
    load: async () => (await import("./device/lock-run.ts")).run,
  },
  {
    usage: "completion <shell>",
    summary: "print the completion for bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completion(commands),
  },
  {
    usage: "cloud init <url>",
    summary: "store the URL of a cloud and a token for it",
    load: async () => (await import("./cloud/init.ts")).init,
  },
  {
    usage: "cloud open",
    summary: "open the page of the cloud in a browser, with a link that signs in",
    load: async () => (await import("./cloud/open.ts")).open,
  },
  { usage: "cloud fleet", summary: "list the fleets", load: async () => (await fleet()).list },
  { usage: "cloud fleet create <name>", summary: "create a fleet", load: async () => (await fleet()).create },
  {
    usage: "cloud fleet rename <fleet> <name>",
    summary: "give a fleet another name",
    load: async () => (await fleet()).rename,
  },
  {
    usage: "cloud fleet delete <fleet>",
    summary: "delete a fleet that has no devices",
    load: async () => (await fleet()).remove,
  },
  {
    usage: "cloud fleet key <fleet>",
    summary: "create a provisioning key, with which devices join the fleet",
    load: async () => (await fleet()).key,
  },
  {
    usage: "cloud fleet keys <fleet>",
    summary: "list its provisioning keys, without their secret values",
    load: async () => (await fleet()).keys,
  },
  {
    usage: "cloud fleet revoke-key <fleet> <key id>",
    summary: "delete a provisioning key: no device can join with it any more",
    load: async () => (await fleet()).revokeKey,
  },
  {
    usage: "cloud fleet forbid <fleet> <power>…",
    summary: "reject releases that ask for these powers, such as privileged (list: docs/security.md)",
    load: async () => (await fleet()).forbid,
  },
  {
    usage: "cloud fleet allow <fleet> <power>…",
    summary: "permit these powers again",
    load: async () => (await fleet()).allow,
  },
  {
    usage: "cloud release <fleet> <compose file>",
    summary: "release a compose file: the fleet's devices update to it",
    load: async () => (await release()).create,
  },
  {
    usage: "cloud wait <fleet> [commit]",
    summary: "wait until the fleet's devices run its release, and show how far they are",
    load: async () => (await import("./cloud/wait.ts")).wait,
  },
  {
    usage: "cloud releases <fleet>",
    summary: "list its releases, newest first",
    load: async () => (await release()).list,
  },
  {
    usage: "cloud pin <device> <commit>",
    summary: "pin a device, or a --fleet, to a release; the commit latest removes the pin",
    load: async () => (await release()).pin,
  },
  {
    usage: "cloud env list <device>",
    summary: "list the names of the variables of a device, or of --fleet",
    load: async () => (await variables()).list,
  },
  {
    usage: "cloud env set <device> <NAME=value>…",
    summary: "set variables; without =value: the value is asked for, or read from standard input",
    load: async () => (await variables()).set,
  },
  {
    usage: "cloud env rm <device> <NAME>",
    summary: "remove a variable",
    load: async () => (await variables()).remove,
  },
  { usage: "cloud devices", summary: "list the devices and their state", load: async () => (await device()).list },
  { usage: "cloud device show <device>", summary: "show one device", load: async () => (await device()).show },
  {
    usage: "cloud device rename <device> <name>",
    summary: "give a device another name",
    load: async () => (await device()).rename,
  },
  {
    usage: "cloud device move <device> <fleet>",
    summary: "move a device to another fleet",
    load: async () => (await device()).move,
  },
  {
    usage: "cloud device delete <device>",
    summary: "delete a device: its key becomes invalid, its connection is closed",
    load: async () => (await device()).remove,
  },
  {
    usage: "cloud device new-key <device>",
    summary: "create a new key for a device; the old key becomes invalid",
    load: async () => (await device()).newKey,
  },
  {
    usage: "cloud update status <device>",
    summary: "show where a device's update stands",
    load: async () => (await update()).cloudStatus,
  },
  {
    usage: "cloud update apply <device>",
    summary: "consent to an update that waits for it",
    load: async () => (await update()).cloudApply,
  },
  {
    usage: "cloud update rollback <device>",
    summary: "make a device go back to its committed release",
    load: async () => (await update()).cloudRollback,
  },
  {
    usage: "cloud update retry <device>",
    summary: "make a device try a release again that has failed",
    load: async () => (await update()).cloudRetry,
  },
  {
    usage: "cloud logs <device>",
    summary: "print the last lines of a device's log",
    load: async () => (await import("./cloud/logs.ts")).logs,
  },
  {
    usage: "cloud ssh <device> [service]",
    summary: "open a shell in a service",
    load: async () => (await import("./device/exec.ts")).ssh,
  },
  {
    usage: "cloud call <device> <method> <path>",
    summary: "send a request to a device's API; with --fleet (and no device), to all its devices",
    load: async () => (await import("./cloud/call.ts")).call,
  },
  {
    usage: "cloud command list <device>",
    summary: "list the requests that you have queued for a device, of the last 24 hours",
    load: async () => (await queued()).list,
  },
  {
    usage: "cloud command show <device> <id>",
    summary: "show a queued request, and the device's answer once there is one",
    load: async () => (await queued()).show,
  },
  {
    usage: "cloud command cancel <device> <id>",
    summary: "cancel a queued request that the device did not get yet",
    load: async () => (await queued()).cancel,
  },
  {
    usage: "cloud token",
    summary: "list the tokens, without their secret values",
    load: async () => (await token()).list,
  },
  {
    usage: "cloud token create <name>",
    summary: "create a token for --fleet or all fleets; without --write and so on, it may only read",
    load: async () => (await token()).create,
  },
  {
    usage: "cloud token revoke <id>",
    summary: "revoke a token, and all keys and tokens that were made with it",
    load: async () => (await token()).revoke,
  },
  {
    usage: "cloud webhook",
    summary: "list the webhooks, and whether they work",
    load: async () => (await webhook()).list,
  },
  {
    usage: "cloud webhook create <url>",
    summary: "send what happens to devices, and what people change, to a URL",
    load: async () => (await webhook()).create,
  },
  {
    usage: "cloud webhook enable <id>",
    summary: "enable a webhook again that has failed for three days",
    load: async () => (await webhook()).enable,
  },
  {
    usage: "cloud webhook delete <id>",
    summary: "delete a webhook",
    load: async () => (await webhook()).remove,
  },
  {
    usage: "cloud audit",
    summary: "list who changed what",
    load: async () => (await import("./cloud/audit.ts")).audit,
  },
];
