import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { shortCommit } from "../format.ts";
import { whyOf } from "../live/actions.ts";
import type { Mark as Kind } from "../live/marks.ts";
import { Mark } from "../parts/mark.tsx";
import { Age } from "../parts/since.tsx";
import { counted, language, words } from "../words.ts";
import { openOf } from "./bulk-operation.ts";
import { BulkResults } from "./bulk-results.tsx";
import { useFleets, type CloudDevice, type DeviceState, type Fleet, type FleetContext } from "./context.ts";
import { parseFilter, states, toggleState, type DeviceFilter, type ParsedFilter } from "./device-filter.ts";
import { readDevices, type DeviceList } from "./device-list.ts";
import { pathOf } from "./routes.ts";
import { RolloutLine } from "./rollout-line.tsx";
import { SelectionBar } from "./selection-bar.tsx";
import { fleetWords } from "./words.ts";

const markOfState: Readonly<Record<DeviceState, Kind>> = {
  ...{ failing: "failing", waiting: "waiting", updating: "working", offline: "off", well: "well" },
};

const noFilter: DeviceFilter = { tags: [], text: "" };

/** What is expected; below the field, so that nothing moves when a word is wrong. */
function hintOf(parsed: ParsedFilter): string {
  const t = fleetWords.value.devices.filters;
  switch (parsed.is) {
    case "filter":
      return t.words;
    case "unknown word":
      return t.unknown;
    case "wrong value":
      return t.wrong[parsed.of];
    case "twice":
      return t.twice(`${parsed.of}:`);
  }
}

/** A fleet that changes all the time is read this often. */
const gatherMs = 1500;
const checkEachMs = 60_000;
const typedMs = 250;

/** Calls `changed` for each change of a fleet, and after each disconnection, in which changes may have been missed. */
async function follow(
  { live, visibility }: Pick<FleetContext, "live" | "visibility">,
  fleetId: number,
  changed: () => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const _ of live.follow({ fleetId, signal, wake: visibility.woken })) changed();
  } catch {
    // Refused, or ended. The list is read each minute all the same.
  }
}

/** The devices of a fleet: counts that filter, a field for filters, and the devices with trouble first. */
export function DevicesScreen({ fleet }: { readonly fleet: Fleet }) {
  const context = useFleets();
  const typed = context.typedFilter;
  const parsed = parseFilter(typed.value);
  // Until a word is right, the list stays that of the last right ones.
  const filter = useRef<DeviceFilter>(noFilter);
  if (parsed.is === "filter") filter.current = parsed.filter;
  const asked = JSON.stringify(filter.current);
  const list = useSignal<DeviceList | undefined>(undefined);
  const fault = useSignal<string | undefined>(undefined);
  const readSoon = useRef(() => {});

  useEffect(() => {
    const end = new AbortController();
    void follow(context, fleet.id, () => readSoon.current(), end.signal);
    return () => end.abort();
  }, [context.live, fleet.id]);

  useEffect(() => {
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let number = 0;
    const read = async (check: boolean) => {
      const mine = ++number;
      try {
        const found = await readDevices(context, fleet.id, filter.current, check);
        if (mine !== number || end.signal.aborted) return;
        list.value = found;
        fault.value = undefined;
      } catch (error) {
        if (mine === number && !end.signal.aborted) fault.value = whyOf(error);
      }
    };
    const soon = () => (timer ??= setTimeout(() => ((timer = undefined), void read(false)), gatherMs));
    const first = setTimeout(() => void read(false), list.peek() ? typedMs : 0);
    const check = setInterval(() => document.visibilityState === "visible" && void read(true), checkEachMs);
    readSoon.current = soon;
    return () => {
      end.abort();
      clearTimeout(first);
      clearTimeout(timer);
      clearInterval(check);
    };
  }, [context.cloud, fleet.id, asked]);

  // What has been done to several devices is seen in the list.
  const run = context.bulk.run.value;
  const isDone = run !== undefined && openOf(run) === 0;
  useEffect(() => {
    if (isDone) readSoon.current();
  }, [isDone]);

  const t = fleetWords.value.devices;
  const shown = list.value;
  const number = (value: number) => new Intl.NumberFormat(language.value).format(value);
  return (
    <div class="screen dense">
      <div class="row filters">
        <div class="choice states" role="group" aria-label={t.why}>
          {states.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={filter.current.state === one}
              onClick={() => (typed.value = toggleState(typed.value, one))}
            >
              <Mark is={markOfState[one]} /> {shown ? number(shown.summary.states[one]) : "…"} {t.states[one]}
            </button>
          ))}
        </div>
        <div class="filter-field">
          <input
            type="search"
            aria-label={t.filter}
            aria-describedby="filter-hint"
            aria-invalid={parsed.is !== "filter"}
            placeholder={t.hint}
            spellcheck={false}
            autocomplete="off"
            value={typed.value}
            onInput={(event) => (typed.value = event.currentTarget.value)}
          />
        </div>
      </div>
      <p id="filter-hint" class={parsed.is === "filter" ? "faint" : "fault"} role="status">
        {hintOf(parsed)}
      </p>
      {fault.value !== undefined && (
        <p class="bar failing" role="alert">
          {t.stale}: {fault.value}
        </p>
      )}
      {shown?.progress && (
        <RolloutLine
          fleet={fleet}
          progress={shown.progress}
          onChanged={() => {
            readSoon.current();
            context.renew();
          }}
        />
      )}
      {shown && <Releases list={shown} />}
      <BulkResults fleet={fleet} />
      {!shown ? (
        fault.value === undefined && <p class="faint">{words.value.reading}</p>
      ) : shown.devices.length > 0 ? (
        <DeviceTable fleet={fleet} devices={shown.devices} />
      ) : shown.summary.devices > 0 ? (
        <p class="faint">{t.none}</p>
      ) : (
        <section class="empty">
          <h2>{t.empty}</h2>
          <p>
            <a href={pathOf(fleet.id, "add")}>{fleetWords.value.nav.add}</a>
          </p>
        </section>
      )}
      {shown && (shown.all ?? Infinity) > shown.devices.length && (
        <p class="faint">{t.more(number(shown.devices.length), shown.all === undefined ? "…" : number(shown.all))}</p>
      )}
    </div>
  );
}

/** How many devices run which release. */
function Releases({ list: { summary } }: { readonly list: DeviceList }) {
  const first = summary.releases.slice(0, 3);
  if (first.length === 0) return null;
  return (
    <p class="facts">
      {first.map(({ commit, devices }) => (
        <span key={commit}>
          {counted(devices, fleetWords.value.devices.run)} <code>{shortCommit(commit)}</code>
        </span>
      ))}
    </p>
  );
}

/** Only devices that are shown can be selected: what is acted on is what is seen. */
function DeviceTable({ fleet, devices }: { readonly fleet: Fleet; readonly devices: readonly CloudDevice[] }) {
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const choose = (uuid: string, isWanted: boolean) => {
    const others = [...chosen.value].filter((one) => one !== uuid);
    chosen.value = new Set(isWanted ? [...others, uuid] : others);
  };
  const t = fleetWords.value.devices;
  return (
    <>
      <SelectionBar
        fleet={fleet}
        selected={devices.filter(({ uuid }) => chosen.value.has(uuid))}
        shown={devices.length}
        onAll={(isWanted) => {
          chosen.value = new Set(isWanted ? devices.map(({ uuid }) => uuid) : []);
        }}
      />
      <table class="cards devices">
        <thead>
          <tr>
            <th scope="col">
              <span class="hidden">{fleetWords.value.bulk.column}</span>
            </th>
            <th scope="col">{t.device}</th>
            <th scope="col">{t.why}</th>
            <th scope="col">{t.release}</th>
            <th scope="col">{t.heard}</th>
          </tr>
        </thead>
        <tbody>
          {devices.map((device) => (
            <DeviceRow
              key={device.uuid}
              device={device}
              isSelected={chosen.value.has(device.uuid)}
              onSelect={(isWanted) => choose(device.uuid, isWanted)}
            />
          ))}
        </tbody>
      </table>
    </>
  );
}

function DeviceRow({
  device,
  isSelected,
  onSelect,
}: {
  readonly device: CloudDevice;
  readonly isSelected: boolean;
  readonly onSelect: (isWanted: boolean) => void;
}) {
  const { who } = useFleets();
  const t = fleetWords.value.devices;
  const { uuid, name, state, release, target, pinned, heardAt } = device;
  return (
    <tr class={isSelected ? "selected" : undefined}>
      <td class="select">
        <label class="tick-label">
          <input
            type="checkbox"
            class="tick"
            disabled={!who.write}
            checked={isSelected}
            onChange={(event) => onSelect(event.currentTarget.checked)}
          />
          <span class="hidden">{fleetWords.value.bulk.select(name)}</span>
        </label>
      </td>
      <th scope="row">
        <span class="named">
          <Mark is={markOfState[state]} />
          <a href={`#/d/${uuid}/`}>{name}</a>
        </span>
      </th>
      <td class="why">{whyOfDevice(device)}</td>
      <td class="runs">
        {release !== null && <code title={release}>{shortCommit(release)}</code>}
        {target !== null && target !== release && <code title={target}> → {shortCommit(target)}</code>}
        {pinned && <small> {t.pinned}</small>}
      </td>
      <td class="age">{heardAt === null ? t.never : <Age at={Date.parse(heardAt)} />}</td>
    </tr>
  );
}

/** The cause comes before the state. */
function whyOfDevice({ state, problems, updateStatus, progress, target }: CloudDevice): string {
  const t = fleetWords.value.devices;
  const [problem, ...others] = problems;
  if ((state === "failing" || state === "waiting") && problem) {
    const kind = words.value.kinds[problem.kind] ?? problem.kind;
    const more = others.length > 0 ? ` (+${others.length})` : "";
    return `${problem.service === undefined ? "" : `${problem.service}: `}${kind}. ${problem.message}${more}`;
  }
  if (state === "updating")
    return [
      target === null ? t.states.updating : t.updating(shortCommit(target)),
      updateStatus ?? "",
      progress === null ? "" : `${progress} %`,
    ]
      .filter(Boolean)
      .join(", ");
  return state === "failing" ? (updateStatus ?? t.states.failing) : t.states[state];
}
