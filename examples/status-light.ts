/**
 * A light that shows how a device is: green, or red while something is wrong. Run it with the address of the device, and in a
 * managed fleet with its key:
 *
 *     npx tsx examples/status-light.ts http://127.0.0.1:48484 [key]
 */
const [base = "http://127.0.0.1:48484", key] = process.argv.slice(2);
const headers = { ...(key !== undefined && { authorization: `Bearer ${key}` }) };

/** Replace this by the pin of your light. */
const light = (colour: "green" | "red" | "off", why = "") => console.log(`${colour} ${why}`.trim());

for (let after = "latest"; ; await new Promise((resolve) => setTimeout(resolve, 1000)))
  try {
    const { body } = await fetch(`${base}/v3/stream?state&events&after=${after}`, { headers });
    let text = "";
    for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (text + part).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines.filter((one) => one !== "").map((one) => JSON.parse(one))) {
        if (line.is === "event") after = line.id;
        if (line.is === "event" && line.level === "error") console.log(line.text);
        if (line.is === "state") light(line.problems.length > 0 ? "red" : "green", line.problems[0]?.message);
      }
    }
  } catch {
    light("off", "the device does not answer");
  }

export {};
