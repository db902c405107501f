import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/exec.ts";
import { refuse } from "../api/refusal.ts";
import { findRunning, type ContainersContext } from "../operations/containers.ts";
import { defaultShell, mostSessions, type ExecSessions } from "../operations/exec-sessions.ts";
import type { Targets } from "../state/targets.ts";

export interface ExecContext extends ContainersContext {
  readonly identity: { readonly exec?: boolean };
  readonly targets: Pick<Targets, "isLocalMode">;
  readonly exec: Pick<ExecSessions, "open" | "find">;
}

export async function startExec(
  { params: { appId, service }, body, name }: Input<typeof api.startExec>,
  context: ExecContext,
): Promise<Reply<typeof api.startExec>> {
  if (context.identity.exec === false)
    return refuse("exec-off", "This device runs no programs for callers: its agent was started with --exec off");
  const container = await findRunning(context, appId, service);
  if ("is" in container)
    return container.is === "stopped"
      ? refuse("not-running", container.message)
      : refuse("unknown-service", container.message);
  const { command = defaultShell, tty, columns, rows, environment, user, workdir: workingDir } = body;
  const terminal = tty ? { columns, rows } : undefined;
  const by = name ?? (context.targets.isLocalMode() ? "a request in local mode" : "a holder of the global key");
  const session = await context.exec.open(container, { command, environment, user, workingDir, terminal }, by);
  return session
    ? reply(201, { id: session.id, expiresAt: new Date(session.expiresAt).toISOString() })
    : refuse("busy", `There are ${mostSessions} sessions already; try again when one of them has ended`);
}

const noSession = () => refuse("unknown-session", "There is no such session; it may have ended");

export function execOutput(
  { params: { sessionId } }: Input<typeof api.execOutput>,
  { exec }: Pick<ExecContext, "exec">,
): Reply<typeof api.execOutput> {
  const session = exec.find(sessionId);
  return session ? reply(200, session.read()) : noSession();
}

export async function execInput(
  { params: { sessionId }, body: { data, ...options } }: Input<typeof api.execInput>,
  { exec }: Pick<ExecContext, "exec">,
): Promise<Reply<typeof api.execInput>> {
  const session = exec.find(sessionId);
  if (!session) return noSession();
  const outcome = await session.input(data, options);
  switch (outcome.is) {
    case "taken":
      return { status: 204 };
    case "full":
      return refuse("busy", "The program does not read its input; send this again later");
    case "gap":
      return refuse("out-of-sequence", `sequence: expected ${outcome.expected}, but got ${options.sequence}`);
  }
}

export async function resizeExec(
  { params: { sessionId }, body }: Input<typeof api.resizeExec>,
  { exec }: Pick<ExecContext, "exec">,
): Promise<Reply<typeof api.resizeExec>> {
  const session = exec.find(sessionId);
  if (!session) return noSession();
  if (!session.hasTerminal) return refuse("no-terminal", "This session has no terminal: it was started without tty");
  await session.resize(body);
  return { status: 204 };
}

export async function endExec(
  { params: { sessionId } }: Input<typeof api.endExec>,
  { exec }: Pick<ExecContext, "exec">,
): Promise<Reply<typeof api.endExec>> {
  const session = exec.find(sessionId);
  if (!session) return noSession();
  await session.end("a caller has ended it");
  return { status: 204 };
}
