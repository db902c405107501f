import { expect, test, vi } from "vitest";
import { createUpdateRequester } from "../../runtimes/worker/directory/update-requests.ts";

/** Update requests that last until the test ends them. */
function pendingRequests() {
  const begun: string[] = [];
  const waiting: (() => void)[] = [];
  const requestUpdates = createUpdateRequester((uuid) => {
    begun.push(uuid);
    return new Promise((resolve) => waiting.push(resolve));
  });
  const letGo = async () => {
    waiting.splice(0).forEach((resolve) => resolve());
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begun, requestUpdates, letGo };
}

const uuids = (count: number) => Array.from({ length: count }, (_, n) => `device ${n}`);

test("sends 50 at a time, until every device has had its request", async () => {
  const { begun, requestUpdates, letGo } = pendingRequests();
  requestUpdates(uuids(120));
  expect(begun.length).toBe(50);
  await letGo();
  expect(begun.length).toBe(100);
  await letGo();
  expect(begun.toSorted()).toEqual(uuids(120).toSorted());
});

test("a waiting device gets one request, and a device that is added after its request began gets another", async () => {
  const { begun, requestUpdates, letGo } = pendingRequests();
  requestUpdates(uuids(51));
  requestUpdates(["device 50", "device 50"]);
  requestUpdates(["device 0"]);
  await letGo();
  await letGo();
  expect(begun.filter((uuid) => uuid === "device 50").length).toBe(1);
  expect(begun.filter((uuid) => uuid === "device 0").length).toBe(2);
});

test("a failing request does not stop the others", async () => {
  const warned = vi.spyOn(console, "warn").mockReturnValue();
  const begun: string[] = [];
  const requestUpdates = createUpdateRequester(async (uuid) => {
    begun.push(uuid);
    throw new Error("as at a deployment");
  });
  requestUpdates(uuids(60));
  await new Promise((resolve) => setImmediate(resolve));
  expect([begun.length, warned.mock.calls.length]).toEqual([60, 60]);
  warned.mockRestore();
});
