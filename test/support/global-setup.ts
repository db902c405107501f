import { noBrowser } from "./chromium.ts";
import { noDocker, noRestart } from "./docker.ts";
import { noNamespaces } from "./namespaces.ts";
import { noPrometheus } from "./prometheus.ts";
import { noHost } from "./systemd-host.ts";

/** Prints before and after the tests which are skipped on this machine, and how to run them. */
export default function setup(): () => void {
  const say = () => {
    for (const why of [noDocker, noRestart, noHost, noNamespaces, noPrometheus, noBrowser])
      if (why) process.stdout.write(`${why}\n`);
  };
  say();
  return say;
}
