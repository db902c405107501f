import { noDocker, noRestart } from "./docker.ts";
import { noNamespaces } from "./namespaces.ts";
import { noHost } from "./systemd-host.ts";

/** Says once what is left out on this machine, and how to have it. */
export default function setup(): () => void {
  const say = () => {
    for (const why of [noDocker, noRestart, noHost, noNamespaces]) if (why) process.stdout.write(`${why}\n`);
  };
  say();
  return say;
}
