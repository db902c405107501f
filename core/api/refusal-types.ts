/** Every type of refusal. A name is never given another meaning: programs compare it. `about`: when it is answered, and what to do. */
export const refusalTypes = {
  "invalid-request": {
    status: 400,
    title: "The request is invalid",
    about: "A parameter, the body or a field of it is not what the endpoint accepts. `errors` lists the fields.",
  },
  unauthorized: {
    status: 401,
    title: "A valid credential is required",
    about: "The request has no key or token, or one that is not known, has expired or was revoked.",
  },
  "outside-scope": {
    status: 401,
    title: "The key is not for this",
    about: "The key is that of a service, and the request concerns another application, or the device as a whole.",
  },
  "person-only": {
    status: 401,
    title: "A person decides this",
    about: "A service may not decide about the update of an application. It needs the device's global key.",
  },
  "no-shell": {
    status: 401,
    title: "Programs may not be run with this credential",
    about:
      "Running programs in containers needs the device's global key, or a token of the cloud with the permission shell.",
  },
  forbidden: {
    status: 403,
    title: "The token may not do this",
    about: "The token of the cloud lacks a permission, or would give more than it has. `detail` names what it lacks.",
  },
  "foreign-origin": {
    status: 403,
    title: "The request comes from a web page of another origin",
    about: "The agent answers pages of other origins only if it was started with `--allow-origin`.",
  },
  "exec-off": {
    status: 403,
    title: "This device runs no programs for callers",
    about: "Its agent was started with `--exec off`.",
  },
  "unknown-endpoint": {
    status: 404,
    title: "There is no such endpoint",
    about: "No endpoint has this path and method.",
  },
  "unknown-application": {
    status: 404,
    title: "The device has no such application",
    about: "Neither the target state nor a container has the application id.",
  },
  "unknown-service": {
    status: 404,
    title: "There is no such service",
    about: "The application, or the fleet, has no service of this name. `detail` lists those that there are.",
  },
  "unknown-lease": {
    status: 404,
    title: "There is no such lease",
    about: "It has ended, was released, or was overridden by force. An update may begin.",
  },
  "unknown-session": {
    status: 404,
    title: "There is no such session",
    about: "The program of the session has ended some time ago, or there never was such a session.",
  },
  "unknown-fleet": {
    status: 404,
    title: "There is no such fleet",
    about: "It does not exist, or the token is not for it.",
  },
  "unknown-device": {
    status: 404,
    title: "There is no such device",
    about: "It does not exist, or the token is not for its fleet.",
  },
  "unknown-release": {
    status: 404,
    title: "There is no such release",
    about: "The fleet has no release with this commit.",
  },
  "unknown-variable": {
    status: 404,
    title: "There is no such variable",
    about: "The fleet, the device or its service has no variable of this name.",
  },
  "unknown-key": {
    status: 404,
    title: "There is no such provisioning key",
    about: "The fleet has no provisioning key with this id.",
  },
  "unknown-token": {
    status: 404,
    title: "There is no such token",
    about: "It does not exist, or was not made by the token of the request.",
  },
  "unknown-webhook": {
    status: 404,
    title: "There is no such webhook",
    about: "It does not exist, or was not made by the token of the request.",
  },
  "unknown-command": {
    status: 404,
    title: "There is no such command",
    about: "It was queued with another token, or has ended more than 24 hours ago.",
  },
  "unknown-operation": {
    status: 404,
    title: "There is no such operation",
    about: "It was made with another key, or is one of so many that it is no longer kept.",
  },
  "not-running": {
    status: 409,
    title: "The service does not run",
    about: "Its container exists and is stopped. Start it first.",
  },
  "update-state": {
    status: 409,
    title: "The update is not in a state for this",
    about: "For example, nothing waits for consent. `GET /v3/apps/:appId/update` shows the state.",
  },
  "out-of-sequence": {
    status: 409,
    title: "Input of the session is missing",
    about: "`sequence` is not the next number. `detail` names the number that is expected.",
  },
  "no-terminal": {
    status: 409,
    title: "The session has no terminal",
    about: "It was started without `tty`.",
  },
  "already-exists": {
    status: 409,
    title: "There is one with this name already",
    about: "A fleet with this name, or a release with this commit, exists.",
  },
  "limit-reached": {
    status: 409,
    title: "There are as many as there can be",
    about: "Remove some first. `detail` names the limit.",
  },
  "fleet-not-empty": {
    status: 409,
    title: "The fleet has devices",
    about: "Only a fleet without devices can be deleted. Delete its devices, or move them to another fleet.",
  },
  "may-have-acted": {
    status: 409,
    title: "The first request with this key may have acted",
    about:
      "It was interrupted, for example by a restart of the agent, and is not done again. Look at the state, and send what is still wanted with a new Idempotency-Key.",
  },
  "answer-not-kept": {
    status: 409,
    title: "The first request with this key was done, and its answer is not kept",
    about: "Its answer had a key or a token, or was too large. What it has made can be listed, and revoked.",
  },
  "operation-ended": {
    status: 409,
    title: "The operation has ended",
    about: "It cannot be cancelled any more. `GET /v3/operations/:id` has its answer.",
  },
  "already-acting": {
    status: 409,
    title: "The operation has begun to act",
    about:
      "Only an operation that waits for its turn, or a command that was not sent, can be cancelled. What was done is not undone.",
  },
  "too-large": {
    status: 413,
    title: "The body is too large",
    about: "It has too many bytes, or too many values. `detail` names the limit.",
  },
  "unsupported-media-type": {
    status: 415,
    title: "The body has an unsupported form",
    about: "Expected JSON as UTF-8, and gzip, deflate or no encoding.",
  },
  "key-reused": {
    status: 422,
    title: "The Idempotency-Key came with another request",
    about: "A key belongs to one request: method, path and body. Every other request needs a new one.",
  },
  "foreign-host": {
    status: 421,
    title: "The request is for another host",
    about: "A device that needs no key answers only by an address or a local name, or a name of `--allow-host`.",
  },
  locked: {
    status: 423,
    title: "The agent replaces services now",
    about: "No lease can be taken while an update replaces the services of the application. Try again in some seconds.",
  },
  "too-many-failures": {
    status: 429,
    title: "Too many wrong credentials",
    about: "Too many wrong keys came from this network. `Retry-After` says when the next one is looked at.",
  },
  busy: {
    status: 503,
    title: "There are too many requests of this kind at once",
    about: "Too many sessions, readers or large bodies, or a program that does not read its input. Try again later.",
  },
  unavailable: {
    status: 503,
    title: "The request could not be answered now",
    about: "The engine or another part failed, or the cloud is not set up. `detail` says which. Try again later.",
  },
} as const satisfies Readonly<Record<string, RefusalType>>;

interface RefusalType {
  readonly status: number;
  readonly title: string;
  readonly about: string;
}

export type RefusalName = keyof typeof refusalTypes;
