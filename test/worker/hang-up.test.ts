import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ownerSecret, startWorkerd } from "../../bench/relay/workerd.ts";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { connected } from "./devices.ts";

test("a client that disconnects before the answer aborts the device's handler", async () => {
  // Directly on workerd, because the harness's proxy does not pass on a disconnect before the answer begins.
  const cloud = await startWorkerd("test/worker/entry/entry.ts");
  onTestFinished(() => cloud.stop());
  const uuid = "0".repeat(32);
  const key = "k".repeat(32);
  const told = { to: "enroll", uuid, deviceId: 1, fleetId: 1, key };
  expect((await fetch(`${cloud.url}/tell`, { method: "POST", body: JSON.stringify(told) })).status).toBe(200);
  const seen = { asked: false, aborted: false };
  const tunnel = startTunnel({
    ...{ url: cloud.url, uuid, key, clock: systemClock, log: new MemoryLog() },
    fetch: ({ signal }) => {
      seen.asked = true;
      signal.addEventListener("abort", () => (seen.aborted = true));
      return new Promise(() => {});
    },
  });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);

  const socket = connect(Number(new URL(cloud.url).port), "127.0.0.1");
  const body = JSON.stringify({ uuid });
  socket.write(
    `POST /supervisor/v1/reboot HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ownerSecret}\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`,
  );
  await expect.poll(() => seen.asked, { timeout: 5000 }).toBe(true);
  expect(seen.aborted).toBe(false);
  // A TCP reset, because workerd notices only that while it has nothing to write.
  socket.resetAndDestroy();
  await expect.poll(() => seen.aborted, { timeout: 5000 }).toBe(true);

  // The audit log has the request of the disconnected client too.
  const audit = async () =>
    (await fetch(`${cloud.url}/tell`, { method: "POST", body: JSON.stringify({ to: "audit" }) })).json();
  const entry = { kind: "relay", who: "admin", operation: "reboot", method: "POST", uuid, status: 499 };
  await expect.poll(audit, { timeout: 5000 }).toEqual([expect.objectContaining(entry)]);
});
