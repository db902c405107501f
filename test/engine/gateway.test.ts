import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { agentOnEngine, docker, target } from "./on-the-engine.ts";

/** The answers to a service at its network's gateway, with the address and the key in its environment. */

const image = "fairlead-gateway:1";

const script = `
say() {
  what=$1; shift
  busybox wget -q -O /dev/null "$@" 2>/tmp/said && echo "$what: done" || echo "$what: $(busybox cat /tmp/said)"
}
key="apikey=$BALENA_SUPERVISOR_API_KEY"
device="$BALENA_SUPERVISOR_ADDRESS/v1/device?$key"
until busybox wget -q -O /dev/null "$BALENA_SUPERVISOR_ADDRESS/ping"; do busybox sleep 0.1; done
say own "$device"
say form --post-data force=1 "$BALENA_SUPERVISOR_ADDRESS/v1/update?$key"
say page --header "Origin: http://evil.example" "$device"
say rebound --header "Host: evil.example" "$device"
echo end
trap exit TERM; while :; do busybox sleep 1; done
`;

describe.skipIf(noDocker !== undefined)("a service at its gateway", () => {
  beforeAll(() => makeImage(docker, image, script));

  test("gets answers, also to forms, but a web page's requests through it are refused", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image, labels: { "io.balena.features.supervisor-api": "1" } } }));
    const { one } = await agent.settled();
    const said = async () =>
      String(await docker.getContainer(one ?? "").logs({ stdout: true, stderr: true, follow: false }))
        .split("\r\n")
        .filter((line) => line.includes(": "));
    await expect.poll(said, { timeout: 30_000 }).toHaveLength(4);
    expect(await said()).toEqual([
      "own: done",
      "form: done",
      expect.stringMatching(/^page: .* 403 /),
      expect.stringMatching(/^rebound: .* 421 /),
    ]);
  });
});
