import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/exec.ts";
import { failed } from "../api/fields.ts";
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
    return reply(403, failed("This device runs no programs for callers: its agent was started with --exec off"));
  const container = await findRunning(context, appId, service);
  if ("is" in container)
    return container.is === "stopped" ? reply(409, failed(container.message)) : reply(404, failed(container.message));
  const { command = defaultShell, tty, columns, rows, environment, user, workdir: workingDir } = body;
  const terminal = tty ? { columns, rows } : undefined;
  const by = name ?? (context.targets.isLocalMode() ? "a request in local mode" : "a holder of the global key");
  const session = await context.exec.open(container, { command, environment, user, workingDir, terminal }, by);
  return session
    ? reply(201, { id: session.id, expiresAt: new Date(session.expiresAt).toISOString() })
    : reply(503, failed(`There are ${mostSessions} sessions already; try again when one of them has ended`));
}

const noSession = () => reply(404, failed("There is no such session; it may have ended"));

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
      return reply(503, failed("The program does not read its input; send this again later"));
    case "gap":
      return reply(409, failed(`sequence: expected ${outcome.expected}, but got ${options.sequence}`));
  }
}

export async function resizeExec(
  { params: { sessionId }, body }: Input<typeof api.resizeExec>,
  { exec }: Pick<ExecContext, "exec">,
): Promise<Reply<typeof api.resizeExec>> {
  const session = exec.find(sessionId);
  if (!session) return noSession();
  if (!session.hasTerminal) return reply(409, failed("This session has no terminal: it was started without tty"));
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
