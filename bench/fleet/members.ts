import { supervisorVersion } from "../../core/model/version.ts";
import { userAgent } from "../../core/cloud/user-agent.ts";
import { createMemoryDevice, memoryIdentity, type MemoryDevice } from "../../core/embedded/device.ts";
import { MemoryLogRing } from "../../core/embedded/ports.ts";
import { parseContainerName } from "../../core/model/names.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { Cloud, CloudRequest } from "../../core/ports/cloud.ts";
import { httpCloud } from "../../runtimes/node/cloud/http-cloud.ts";
import { startTunnel, type RunningTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { wait } from "../../test/support/wait.ts";
import { services, type Fleet } from "./fleet.ts";

/** A question to the cloud, and how it was answered. */
interface Asked extends CloudRequest {
  readonly status: number;
}

export interface Member extends MemoryDevice {
  readonly uuid: string;
  readonly key: string;
  /** All that it has asked of the cloud. */
  readonly asked: readonly Asked[];
}

export const agentName = userAgent({ ...memoryIdentity, supervisorVersion });

/** An agent on the engine in memory that has joined, and talks with its cloud as the program does. */
export async function join({ url, id, key: provisioning }: Fleet, pingMs?: number): Promise<Member> {
  const uuid = systemClock.token(16);
  const asked: Asked[] = [];
  const cloudAt = httpCloud(url, agentName);
  const ask: Cloud = async (request, signal) => {
    const answer = await cloudAt(request, signal);
    asked.push({ ...request, status: answer.status });
    return answer;
  };
  let tunnel: RunningTunnel | undefined;
  const device = await createMemoryDevice({
    identity: { uuid, cloudUrl: url },
    cloudSettings: { provisioning: { key: provisioning, applicationId: id } },
    ports: {
      cloud: { ask, ring: new MemoryLogRing() },
      tunnel: { state: () => tunnel?.state() ?? { is: "disconnected" } },
    },
  });
  const { log, fetch, supervisor } = device;
  const { cloud, targets } = supervisor;
  if (!cloud) throw new Error("The agent speaks with no cloud");
  const key = await cloud.registration.registered();
  const opened = () => cloud.update({ force: false });
  tunnel = startTunnel({ url, uuid, key, fetch, clock: systemClock, log, opened, ...(pingMs && { pingMs }) });
  const { state, stop: hangUp } = tunnel;
  await wait("an agent to be connected", () => Promise.resolve(state().is === "connected" && targets.hasCloud()));
  const stop = () => {
    hangUp();
    return device.stop();
  };
  return { ...device, uuid, key, asked, stop };
}

/** The same agent without a cloud: its target state is put into it. */
export const twinOf = ({ uuid }: Member, url: string): Promise<MemoryDevice> =>
  createMemoryDevice({ identity: { uuid, cloudUrl: url } });

/** Milliseconds from an act until all services of a release run on all those agents. */
export async function untilRunning(
  agents: readonly MemoryDevice[],
  commit: string,
  act: () => Promise<unknown>,
): Promise<number> {
  const waiting = new Set(agents);
  const all = Promise.all(agents.map((one) => running(one, commit).then(() => waiting.delete(one))));
  const begun = performance.now();
  await act();
  await Promise.race([all, systemClock.sleep(60_000)]);
  if (waiting.size > 0) throw new Error(`${waiting.size} of ${agents.length} agents do not come to run ${commit}`);
  return performance.now() - begun;
}

const running = ({ engine }: MemoryDevice, commit: string): Promise<void> =>
  new Promise((resolve) => {
    const unsubscribe = engine.onEvent(async () => {
      const { containers } = await engine.look();
      const there = containers.filter(
        ({ state, name, service }) => state === "running" && parseContainerName(name, service)?.commit === commit,
      );
      if (there.length < services.length) return;
      unsubscribe();
      resolve();
    });
  });
