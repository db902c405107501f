import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { deriveServiceKey } from "../../core/model/service-key.ts";

test("the key of services is an HMAC of the device's, so that both ends derive the same one", async () => {
  const deviceKey = "0123456789abcdef".repeat(4);
  const expected = createHmac("sha256", deviceKey).update("fairlead service key 1").digest("hex");
  expect(await deriveServiceKey(deviceKey)).toBe(expected);
  expect(await deriveServiceKey(`${deviceKey}0`)).not.toBe(expected);
});
