// The pieces that every page is made of.

import { h } from "./dom.js";
import { clock } from "./format.js";
import { link } from "./router.js";

const WORDS = {
  ok: ["●", "OK", "ok"],
  drifting: ["▲", "Drifting", "warn"],
  bad_data: ["■", "Bad data", "bad"],
  unusual_data: ["◆", "Unusual data", "warn"],
  not_enough_data: ["○", "Not enough data", "mute"],
  observing: ["◐", "Observing", "info"],
  stale: ["✕", "Stale", "bad"],
  no_data: ["–", "No data", "mute"],
  READY: ["●", "Ready", "ok"],
  LOADING: ["◐", "Loading", "info"],
  UNLOADING: ["◐", "Unloading", "info"],
  UNAVAILABLE: ["○", "Not loaded", "mute"],
  page: ["■", "Page", "bad"],
  ticket: ["▲", "Ticket", "warn"],
  firing: ["▲", "Firing", "bad"],
  acknowledged: ["◐", "Acknowledged", "info"],
  silenced: ["○", "Silenced", "mute"],
  resolved: ["●", "Resolved", "ok"],
};

export function pill(word, after = "") {
  const [sign, text, kind] = WORDS[word] ?? ["○", word, "mute"];
  return h("span", { class: `pill ${kind}` }, h("span", { "aria-hidden": "true" }, sign), text + after);
}

// What is said of an arm: its state and what to do, then what else was found; of an arm of the past the state.
export function states(arm, nowUs) {
  const isPast = arm.percent === null;
  const others = isPast ? [] : arm.also.map((one) => state({ ...one, todo: "" }, nowUs));
  return [state(isPast ? { ...arm.state, todo: "" } : arm.state, nowUs), ...others].map((one) =>
    h("div", { class: "state" }, one),
  );
}

function state(one, nowUs) {
  const since = one.since_us ? ` since ${clock(one.since_us, nowUs)}` : "";
  return [
    pill(one.word, since),
    one.why && h("div", { class: "why" }, one.why),
    one.todo && one.word !== "observing" && h("div", { class: "todo" }, one.todo),
  ];
}

// One figure: a card whose numbers are one click away as JSON.
export function card(title, { json, note, flush = false, key = title, extra, id } = {}, ...body) {
  return h(
    "section",
    { class: "card", "data-key": key, "aria-label": title, id, tabindex: id ? "-1" : null },
    h(
      "header",
      null,
      h("h2", null, title),
      note && h("span", { class: "note" }, note),
      extra,
      json &&
        h(
          "a",
          { class: "json", href: json, "data-action": "json", "aria-label": `${title} as JSON` },
          "JSON",
        ),
    ),
    h("div", { class: flush ? "body flush" : "body" }, ...body),
  );
}

export const empty = (why, todo) => h("p", { class: "empty" }, h("b", null, why), todo ? ` ${todo}` : "");

export function failed(error) {
  const another =
    error?.status === 403 && h("button", { type: "button", "data-action": "token" }, "Use another token");
  return error && h("p", { class: "error", role: "alert" }, error.message, another && [" ", another]);
}

// `columns`: [title, {num, wide}]; `rows` of cells. On a phone every row becomes a card.
export function table(columns, rows, { label, className = "cards" } = {}) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: className, "aria-label": label },
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          columns.map(([title, style]) => h("th", { scope: "col", class: style?.num && "num" }, title)),
        ),
      ),
      h(
        "tbody",
        null,
        rows.map((row) => tableRow(columns, row)),
      ),
    ),
  );
}

function tableRow(columns, row) {
  const cells = columns.map(([title, style], place) =>
    h(
      "td",
      {
        class: [style?.num && "num", style?.wide && "wide"].filter(Boolean).join(" ") || null,
        "data-label": style?.wide ? null : title,
      },
      row.cells[place],
    ),
  );
  return h("tr", { "data-key": row.key, class: row.className }, cells);
}

// A field that narrows what the page shows, as it is typed.
export const finder = (label, value) =>
  h("input", {
    type: "search",
    class: "finder",
    "data-find": true,
    "data-key": "find",
    "aria-label": label,
    placeholder: label,
    value,
    autocomplete: "off",
    spellcheck: "false",
  });

export const matches = (text, find) =>
  (find ?? "")
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.toLowerCase().includes(word));

export function meter(share, kind = "") {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return h(
    "span",
    { class: `meter ${kind}`, "aria-hidden": "true" },
    h("i", { style: { "--share": width } }),
  );
}

// A choice of addresses, such as of time ranges.
export function choice(label, options, current, parts, query) {
  return h(
    "span",
    { class: "choice", role: "group", "aria-label": label },
    options.map(([value, text]) =>
      h("a", { href: link(parts, query(value)), "aria-current": value === current ? "true" : null }, text),
    ),
  );
}

export const armName = (one) =>
  one.arm ? `${one.arm} · v${one.version}` : `v${one.version} (asked for by number)`;

export const legend = (names) =>
  h(
    "div",
    { class: "legend small" },
    names.map((name, place) =>
      h("span", null, h("i", { class: "dot", style: { "--arm": armColour(place) } }), name),
    ),
  );

const COLOURS = ["var(--bar)", "var(--bar-2)", "var(--bar-3)", "var(--bar-4)", "var(--bar-5)"];
export const armColour = (place) => COLOURS[place % COLOURS.length];

const MOST_LINES = 6;

// Events of one generation are one step: what it did, then why and who.
export function eventGroups(events) {
  const groups = [];
  for (const event of events) {
    const last = groups.at(-1)?.[0];
    if (last && event.generation && last.generation === event.generation) groups.at(-1).push(event);
    else groups.push([event]);
  }
  return groups;
}

export function stepItem(events, nowUs) {
  if (events.length === 1) return eventItem(events[0], nowUs);
  const common = shared(events.map((event) => event.why));
  const [first] = events;
  return h(
    "li",
    { class: "event", "data-key": `generation-${first.generation}` },
    h("time", { datetime: first.at, title: first.at }, clock(Date.parse(first.at) * 1000, nowUs)),
    h(
      "div",
      null,
      [...events]
        .reverse()
        .slice(0, MOST_LINES)
        .map((event) => h("div", null, headline(event), detail(event.why.slice(common.length)))),
      events.length > MOST_LINES && h("div", { class: "who" }, `and ${events.length - MOST_LINES} more`),
      h("div", { class: "who" }, [common, `by ${first.who}`].filter(Boolean).join(" — ")),
    ),
  );
}

const detail = (text) => {
  const inner = text.trim().replace(/^\((.*)\)$/s, "$1");
  return inner && h("span", { class: "who" }, ` ${inner}`);
};

// The beginning that all texts share, up to what is added in parentheses.
function shared(texts) {
  const [first] = texts.map((text) => text ?? "");
  for (let end = first.length; end > 0; end--) {
    const part = first.slice(0, end);
    if (texts.every((text) => text === part || text.startsWith(`${part} (`))) return part;
  }
  return "";
}

function headline(event) {
  const about = event.model && (event.version ? `${event.model} v${event.version}` : event.model);
  return [
    h("span", { class: "strong" }, event.kind.replaceAll("_", " ")),
    about && [" · ", h("a", { href: link(["models", event.model]) }, about)],
  ];
}

export function eventItem(event, nowUs) {
  return h(
    "li",
    { class: "event", "data-key": `${event.at}${event.kind}${event.model ?? ""}${event.version ?? ""}` },
    h("time", { datetime: event.at, title: event.at }, clock(Date.parse(event.at) * 1000, nowUs)),
    h(
      "div",
      null,
      headline(event),
      h("div", { class: "who" }, [event.why, event.who && `by ${event.who}`].filter(Boolean).join(" — ")),
    ),
  );
}
