import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { keptLines, type LogLine, type LogLines } from "../live/log-lines.ts";
import { counted, words } from "../words.ts";
import { colourChooser, RowBlocks, toRow } from "./log-rows.ts";

export interface Filter {
  /** Empty for the agent; undefined: everything. */
  readonly service: string | undefined;
  readonly text: string;
}

const fits = ({ service, message }: LogLine, { service: wanted, text }: Filter): boolean =>
  (wanted === undefined || wanted === service) &&
  (text === "" || message.toLowerCase().includes(text) || service.toLowerCase().includes(text));

/** Pixels from the end within which the reader follows. */
const nearEnd = 24;

/**
 * The lines that fit, as elements that are written once for each frame. The browser skips drawing those out of view, and yet
 * finds and copies them. A reader who has scrolled up stays where he is.
 */
export function LogPanel({
  lines,
  filter,
  label,
}: {
  readonly lines: LogLines;
  readonly filter: Filter;
  readonly label: string;
}) {
  const root = useRef<HTMLDivElement>(null);
  const [isFollowing, follow] = useState(true);
  const [fresh, setFresh] = useState(0);
  const [count, setCount] = useState(0);
  const live = useRef(true);
  live.current = isFollowing;
  const colourOf = useMemo(colourChooser, [lines]);
  const lower = useMemo(() => ({ ...filter, text: filter.text.toLowerCase() }), [filter.service, filter.text]);

  useEffect(() => {
    const panel = root.current;
    if (!panel) return;
    let blocks = new RowBlocks(panel);
    const toRows = (given: readonly LogLine[]) =>
      given.filter((line) => fits(line, lower)).map((line) => toRow(line, words.value.logs.agent, colourOf));
    const write = (added?: readonly LogLine[]) => {
      if (!added) return writeAll();
      const rows = toRows(added);
      if (rows.length === 0) return;
      blocks.append(rows);
      setCount(blocks.count);
      if (!live.current) return setFresh((before) => before + rows.length);
      // Only while the reader is at the end: above him nothing may disappear.
      blocks.trim(keptLines);
      panel.scrollTop = panel.scrollHeight;
    };
    /** Earlier lines have been put among the others: the reader is shown where they end. */
    const writeAll = () => {
      const rows = toRows(lines.lines);
      const boundary = rows[rows.length - blocks.count];
      blocks = new RowBlocks(panel);
      blocks.append(rows);
      setCount(blocks.count);
      if (!boundary || panel.scrollHeight <= panel.clientHeight + nearEnd) return;
      live.current = false;
      follow(false);
      const below = boundary.getBoundingClientRect().top - panel.getBoundingClientRect().top;
      panel.scrollTop += below - panel.clientHeight / 2;
    };
    setCount(0);
    setFresh(0);
    write(lines.lines.slice(-keptLines));
    return lines.subscribe(write);
  }, [lines, lower]);

  const toEnd = () => {
    follow(true);
    setFresh(0);
    if (root.current) root.current.scrollTop = root.current.scrollHeight;
  };
  const scrolled = ({
    currentTarget: { scrollTop, clientHeight, scrollHeight },
  }: {
    readonly currentTarget: HTMLElement;
  }) => {
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - nearEnd;
    if (isAtEnd === isFollowing) return;
    follow(isAtEnd);
    if (isAtEnd) setFresh(0);
  };
  useEffect(() => {
    const pressed = (event: Event) => event instanceof CustomEvent && toEnd();
    document.addEventListener("fairlead-follow", pressed);
    return () => document.removeEventListener("fairlead-follow", pressed);
  }, []);

  const t = words.value.logs;
  return (
    <div class="log-frame">
      <div
        ref={root}
        class="log"
        role="log"
        aria-label={label}
        aria-live={isFollowing ? "polite" : "off"}
        tabIndex={0}
        onScroll={scrolled}
      />
      {count === 0 && <p class="log-empty">{lines.lines.length === 0 ? t.empty : t.none}</p>}
      {!isFollowing && (
        <button type="button" class="to-end" onClick={toEnd}>
          ↓ {fresh > 0 ? counted(fresh, t.fresh) : t.follow}
        </button>
      )}
    </div>
  );
}
