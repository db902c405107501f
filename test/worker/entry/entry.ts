import { DurableObject } from "cloudflare:workers";
import { Router } from "itty-router";
import * as z from "zod";
import { digestOf } from "../../../runtimes/worker/auth/credential.ts";
import { coversFleet, Grant, ownerGrant } from "../../../runtimes/worker/auth/grant.ts";
import type { DeviceSession } from "../../../runtimes/worker/relay/device-session.ts";
import { supervisorProxy } from "../../../runtimes/worker/relay/supervisor-proxy.ts";
import { tunnel } from "../../../runtimes/worker/relay/tunnel.ts";

export { DeviceSession } from "../../../runtimes/worker/relay/device-session.ts";

/** The deployed relay, with a directory whose content tests and benchmarks set. */

interface Device {
  readonly uuid: string;
  readonly deviceId: number;
  readonly fleetId: number;
}

export class Directory extends DurableObject {
  readonly #devices: Device[] = [];

  add(device: Device): void {
    this.#devices.push(device);
  }

  /** Selects the session by its key, across a deployment. */
  addKey({ uuid, deviceId }: Device, keyDigest: string): void {
    this.ctx.storage.kv.put<Grant>(keyDigest, { ...ownerGrant, tokenId: `device:${deviceId}`, device: uuid });
  }

  fill(fleetId: number, devices: number): void {
    for (let n = 0; n < devices; n++) this.add({ uuid: `${fleetId}-${n}`, deviceId: fleetId * 1_000_000 + n, fleetId });
  }

  find(grant: Grant, filter: { uuid?: string; deviceId?: number; appId?: number }): readonly Device[] {
    return this.#devices.filter(
      ({ uuid, deviceId, fleetId }) =>
        uuid === (filter.uuid ?? uuid) &&
        deviceId === (filter.deviceId ?? deviceId) &&
        fleetId === (filter.appId ?? fleetId) &&
        coversFleet(grant, fleetId),
    );
  }

  grantOfDevice(digest: string): Grant | undefined {
    return this.ctx.storage.kv.get<Grant>(digest);
  }

  readonly #audit: object[] = [];

  writeAudit(items: readonly object[]): void {
    this.#audit.push(...items);
  }

  connectionChanged(): void {
    // test/worker/changes.test.ts tests it with the real directory.
  }

  commandFinished(): void {
    // test/worker/commands.test.ts tests it with the real directory.
  }

  audit(): readonly object[] {
    return this.#audit;
  }
}

const Told = z.discriminatedUnion("to", [
  z.object({ to: z.literal("enroll"), uuid: z.string(), deviceId: z.int(), fleetId: z.int(), key: z.string() }),
  z.object({ to: z.literal("audit") }),
  z.object({ to: z.literal("fill"), fleetId: z.int(), devices: z.int() }),
  z.object({ to: z.literal("forget"), uuid: z.string() }),
  z.object({ to: z.literal("revoke"), uuid: z.string(), tokenIds: z.array(z.string()) }),
  z.object({ to: z.literal("status"), uuid: z.string() }),
  z.object({
    to: z.literal("call"),
    uuid: z.string(),
    grant: Grant,
    method: z.enum(["GET", "POST"]),
    path: z.string(),
  }),
]);
export type Told = z.input<typeof Told>;

interface Bindings {
  readonly DEVICES: DurableObjectNamespace<DeviceSession>;
  readonly DIRECTORY: DurableObjectNamespace<Directory>;
}

/** The directory's calls to a session and the fan-out's calls, for use by tests. */
async function tell(request: Request, { DEVICES, DIRECTORY }: Bindings): Promise<unknown> {
  const told = Told.parse(await request.json());
  if (told.to === "fill") return DIRECTORY.getByName("directory").fill(told.fleetId, told.devices);
  if (told.to === "audit") return DIRECTORY.getByName("directory").audit();
  const { uuid } = told;
  const session = DEVICES.getByName(uuid);
  switch (told.to) {
    case "enroll": {
      const { deviceId, fleetId, key } = told;
      const keyDigest = await digestOf(key);
      const directory = DIRECTORY.getByName("directory");
      await directory.add({ uuid, deviceId, fleetId });
      await directory.addKey({ uuid, deviceId, fleetId }, keyDigest);
      return session.enroll({ uuid, deviceId, fleetId, keyDigest, revoked: [] });
    }
    case "forget":
      return session.forget();
    case "revoke":
      return session.revoke(told.tokenIds);
    case "status":
      return session.status();
    case "call": {
      const { grant, method, path } = told;
      return session.call(grant, { method, path, headers: [], body: new Uint8Array(0) }, 5000);
    }
  }
}

const router = Router();
router.post("/supervisor/*", (request, env, context) => supervisorProxy(request, new URL(request.url), env, context));
router.get("/tunnel/:uuid", (request, env) => tunnel(request, new URL(request.url), env));
router.post("/tell", async (request, env) => Response.json((await tell(request, env)) ?? null));
router.all("*", () => new Response(null, { status: 404 }));

export default {
  fetch: (request: Request, env: Bindings, context: ExecutionContext) => router.fetch(request, env, context),
};
