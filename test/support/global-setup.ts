import { noDocker } from "./docker.ts";

/** Says once what is left out on this machine, and how to have it. */
export default function setup(): () => void {
  const say = () => noDocker && process.stdout.write(`${noDocker}\n`);
  say();
  return say;
}
