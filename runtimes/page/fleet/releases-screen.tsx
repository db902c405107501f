import { useSignal } from "@preact/signals";
import { parse } from "yaml";
import type { CloudClient } from "../../../core/client/index.ts";
import { moment, shortCommit } from "../format.ts";
import { whyOf, type Action } from "../live/actions.ts";
import { now } from "../live/clock.ts";
import { Button } from "../parts/button.tsx";
import { Columns } from "../parts/columns.tsx";
import { Graph } from "../parts/graph.tsx";
import { Age } from "../parts/since.tsx";
import { counted, words } from "../words.ts";
import { useAnswer } from "../views/use-answer.ts";
import { FleetButton } from "./action-button.tsx";
import { useFleets, type Fleet, type Release } from "./context.ts";
import { askFleetPin } from "./fleet-pin.ts";
import { fleetWords } from "./words.ts";

type WholeRelease = Awaited<ReturnType<CloudClient["admin"]["release"]>>;
type Change = WholeRelease["changes"][number];

/** The releases of a fleet, and how each differs from the one before. */
export function ReleasesScreen({ fleet }: { readonly fleet: Fleet }) {
  const { admin, actions, who, renew } = useFleets();
  const count = useSignal(0);
  const again = () => {
    count.value++;
    renew();
  };
  const { value: releases, fault } = useAnswer(
    () => admin.releases({ params: { fleetId: fleet.id, limit: 50 } }),
    [fleet.id, fleet.release, count.value],
  );
  const t = fleetWords.value.releases;
  const pin = (release: string, title: string, text: string) =>
    askFleetPin({ ...{ admin, fleet, release, title, text, line: release }, onDone: again });
  return (
    <div class="screen">
      <section>
        <div class="head">
          <h2>{t.title}</h2>
          {!fleet.tracksLatest && (
            <p class="row">
              <span>{t.pinned}</span>
              {who.write && (
                <Button onClick={() => actions.ask(pin("latest", t.follow, t.followText))}>{t.follow} …</Button>
              )}
            </p>
          )}
        </div>
        {fault !== undefined && <p class="fault">{fault}</p>}
        {releases?.length === 0 && <p class="faint">{t.none}</p>}
        {releases && releases.length > 0 && (
          <table class="cards">
            <Columns names={[t.commit, t.services, t.devices, t.made]} />
            <tbody>
              {releases.map((release) => (
                <ReleaseRow
                  key={release.id}
                  release={release}
                  onRollOut={
                    who.write && !release.target
                      ? () => actions.ask(pin(release.commit, t.rollOut, t.rollOutText))
                      : undefined
                  }
                />
              ))}
            </tbody>
          </table>
        )}
      </section>
      {who.write && <NewRelease fleet={fleet} onMade={again} />}
    </div>
  );
}

function ReleaseRow({
  release: { fleetId, commit, services, devices, createdAt, target },
  onRollOut,
}: {
  readonly release: Release;
  readonly onRollOut: (() => void) | undefined;
}) {
  const { admin } = useFleets();
  const isOpen = useSignal(false);
  const t = fleetWords.value.releases;
  return (
    <>
      <tr>
        <th scope="row">
          <code title={commit}>{shortCommit(commit)}</code> {target && <small>{t.target}</small>}
        </th>
        <td>{services.join(", ")}</td>
        <td data-name={t.devices}>{devices}</td>
        <td data-name={t.made}>
          <Age at={Date.parse(createdAt)} />
        </td>
        <td class="row">
          <Button onClick={() => (isOpen.value = !isOpen.value)} label={`${t.changes}: ${shortCommit(commit)}`}>
            {t.changes}
          </Button>
          {onRollOut && <Button onClick={onRollOut}>{t.rollOut} …</Button>}
        </td>
      </tr>
      {isOpen.value && (
        <tr>
          <td colSpan={5}>
            <Difference read={() => admin.release({ params: { fleetId, commit } })} />
          </td>
        </tr>
      )}
    </>
  );
}

function Difference({ read }: { readonly read: () => Promise<WholeRelease> }) {
  const { value, fault } = useAnswer(read, []);
  return (
    <>
      <h3>{fleetWords.value.releases.from}</h3>
      {fault !== undefined && <p class="fault">{fault}</p>}
      {value ? <Changes changes={value.changes} /> : fault === undefined && <p class="faint">{words.value.reading}</p>}
      {value && value.arrivals.length > 0 && <ArrivalGraph release={value} />}
    </>
  );
}

/** How many devices had come to run a release, from when it was made until now. */
function ArrivalGraph({ release: { createdAt, arrivals } }: { readonly release: WholeRelease }) {
  const t = fleetWords.value.releases;
  const made = Date.parse(createdAt);
  const span: readonly [number, number] = [made, Math.max(now.value, made + 1)];
  const top = arrivals.at(-1)?.devices ?? 0;
  // A number of devices stays until the next one comes.
  const points = [{ at: made, devices: 0 }, ...arrivals.map(({ at, devices }) => ({ at: Date.parse(at), devices }))];
  const steps = [...points, { at: span[1], devices: top }].flatMap(({ at, devices }, n) => [
    { at, devices: points[n - 1]?.devices ?? 0 },
    { at, devices },
  ]);
  const series = { at: steps.map(({ at }) => at), values: steps.map(({ devices }) => devices) };
  const last = arrivals.at(-1)?.at ?? createdAt;
  return (
    <figure class="wide-graph">
      <figcaption>
        <strong>{t.arrivals}</strong>
        <span>{t.lastArrival(moment(Date.parse(last)))}</span>
      </figcaption>
      <div class="plot">
        <span class="top">{counted(top, t.running)}</span>
        <Graph series={series} span={span} top={top} label={`${t.arrivals}: ${counted(top, t.running)}`} height={96} />
      </div>
      <div class="axis" aria-hidden="true">
        <span>{moment(span[0])}</span>
        <span>{moment(span[1])}</span>
      </div>
    </figure>
  );
}

function Changes({ changes }: { readonly changes: readonly Change[] }) {
  const t = fleetWords.value.releases;
  if (changes.length === 0) return <p>{t.same}</p>;
  return (
    <ul class="diff">
      {changes.map(({ part, name, change, fields }) => (
        <li key={`${part} ${name}`}>
          {t.parts[part]} <strong>{name}</strong>{" "}
          {change === "added" ? (
            <ins>{t.kinds.added}</ins>
          ) : change === "removed" ? (
            <del>{t.kinds.removed}</del>
          ) : (
            t.kinds.changed
          )}
          {fields.length > 0 && <code> {fields.join(", ")}</code>}
        </li>
      ))}
    </ul>
  );
}

interface Checked {
  /** What it is about. */
  readonly text: string;
  readonly changes: readonly Change[];
  readonly remarks: readonly string[];
}

const example = `services:
  web:
    image: nginx:alpine
    ports: ["80:80"]
`;

/** A compose file becomes a release. Only what was checked can be created. */
function NewRelease({ fleet, onMade }: { readonly fleet: Fleet; readonly onMade: () => void }) {
  const { admin, actions } = useFleets();
  const text = useSignal("");
  const checked = useSignal<Checked | undefined>(undefined);
  const faults = useSignal<readonly string[]>([]);
  const t = fleetWords.value.releases;
  const body = (dryRun: boolean) => ({
    params: { fleetId: fleet.id },
    body: { composition: compositionIn(text.value), ...(dryRun && { dryRun }) },
  });
  const check = async () => {
    const now = text.value;
    checked.value = undefined;
    faults.value = [];
    try {
      const answer = await admin.createRelease(body(true));
      if (!("changes" in answer)) return;
      const asked = Object.entries(answer.powers).map(([service, powers]) => t.powers(service, powers.join(", ")));
      checked.value = { text: now, changes: answer.changes, remarks: [...answer.warnings, ...asked] };
    } catch (error) {
      faults.value = whyOf(error).split("\n");
    }
  };
  const make: Action = {
    key: "make a release",
    label: t.make,
    send: async () => {
      const made = await admin.createRelease(body(false));
      text.value = "";
      checked.value = undefined;
      if ("commit" in made) actions.say(t.done(shortCommit(made.commit)));
      onMade();
    },
    curl: "",
    done: "",
  };
  const result = checked.value?.text === text.value ? checked.value : undefined;
  return (
    <section>
      <h2>{t.create}</h2>
      <p class="faint">{t.help}</p>
      <div class="columns editor">
        <label>
          <span class="hidden">{t.field}</span>
          <textarea
            spellcheck={false}
            placeholder={example}
            value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
        </label>
        <div class="form" role="status">
          <div class="row">
            <FleetButton
              action={{ key: "check a release", label: t.check, send: check, curl: "", done: "" }}
              disabled={text.value.trim() === ""}
            >
              {t.check}
            </FleetButton>
            <FleetButton action={make} kind="filled" disabled={!result}>
              {t.make}
            </FleetButton>
          </div>
          {faults.value.map((one) => (
            <p key={one} class="fault">
              {one}
            </p>
          ))}
          {result && (
            <>
              <h3>{t.checked}</h3>
              <Changes changes={result.changes} />
              {result.remarks.length > 0 && (
                <>
                  <h3>{t.warnings}</h3>
                  <ul class="lines">
                    {result.remarks.map((one) => (
                      <li key={one}>{one}</li>
                    ))}
                  </ul>
                </>
              )}
            </>
          )}
        </div>
      </div>
    </section>
  );
}

/** Throws for what is no object, which the cloud would refuse with less to go by. */
function compositionIn(text: string): Record<string, unknown> {
  const value: unknown = parse(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error(fleetWords.value.releases.noCompose);
}
