import { expect, test } from "vitest";
import { BusError, busAt } from "../../hardware/bus.ts";

const method = { service: "org.freedesktop.DBus", path: "/", interface: "org.freedesktop.DBus", member: "GetId" };

test("the error of a missing bus has its address, and each call connects again", async () => {
  const bus = busAt("unix:path=/nonexistent/bus");
  for (let n = 0; n < 2; n++) {
    const error: unknown = await bus.call(method).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BusError);
    expect(error).toMatchObject({
      error: "",
      message: "The system bus at unix:path=/nonexistent/bus does not answer: connect ENOENT /nonexistent/bus",
    });
  }
  bus.close();
});

test("an invalid address is an error too", async () => {
  await expect(busAt("nonsense").call(method)).rejects.toBeInstanceOf(BusError);
});
