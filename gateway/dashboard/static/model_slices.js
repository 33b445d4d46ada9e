// Segments of the rows and pairs of features: what drifts in a part only, or together only.

import { h } from "./dom.js";
import { clock, whole } from "./format.js";
import { evidence } from "./overview.js";
import { armName, card, empty, failed, table } from "./parts.js";
import { link } from "./router.js";

const MOST_SHOWN = 12;

export function slices(answers, errors, json, place) {
  const streams = (answers.drift?.versions ?? []).flatMap(({ figure }) =>
    figure.streams.map((stream) => ({ ...stream, version: figure.version })),
  );
  const body = errors.drift
    ? failed(errors.drift)
    : !answers.drift
      ? empty("Loading…")
      : [segments(streams, place), pairs(streams, place)];
  return card("Segments and pairs", { json: json.drift, flush: true }, body);
}

const strength = (one) => one?.log10_evidence ?? -1;

function segments(streams, place) {
  const rows = streams
    .filter((stream) => stream.segment)
    .map((stream) => ({ ...stream, first: [...stream.features].sort((a, b) => strength(b) - strength(a))[0] }))
    .sort((a, b) => strength(b.first) - strength(a.first))
    .map((stream) => ({
      key: `${stream.version}/${stream.arm}/${stream.segment}`,
      className: stream.first?.is_named ? "moved" : null,
      cells: [
        h("span", { class: "strong" }, stream.segment),
        armName(stream),
        whole(stream.rows),
        stream.first ? [featureLink(stream, stream.first.name, place), since(stream.first)] : "–",
        evidence(stream.first?.log10_evidence),
      ],
    }));
  const columns = [
    ["Segment", { wide: true }],
    ["Arm"],
    ["Rows", { num: true }],
    ["Most evidence for"],
    ["Evidence", { num: true }],
  ];
  return rows.length
    ? listed(columns, rows, "Segments by evidence")
    : empty(
        "No segment is judged for drift.",
        'Name columns in model.toml, such as segments = ["country"]; once a version is armed by its hours of the week, each segment is judged by its own.',
      );
}

function pairs(streams, place) {
  const rows = streams
    .flatMap((stream) => stream.pairs.map((pair) => ({ stream, pair })))
    .sort((a, b) => strength(b.pair) - strength(a.pair))
    .map(({ stream, pair }) => ({
      key: `${stream.version}/${stream.arm}/${stream.segment}/${pair.first}/${pair.second}`,
      className: pair.log10_evidence >= 4 ? "moved" : null,
      cells: [
        [featureLink(stream, pair.first, place), " with ", featureLink(stream, pair.second, place)],
        [armName(stream), stream.segment && `, ${stream.segment}`],
        [pair.together_more ? "high together more often" : "high together less often", since(pair)],
        evidence(pair.log10_evidence),
      ],
    }));
  const columns = [["Pair", { wide: true }], ["Arm"], ["What changed"], ["Evidence", { num: true }]];
  return rows.length
    ? listed(columns, rows, "Pairs of features by evidence")
    : empty(
        "No pair of features depends on each other otherwise than in the reference.",
        "Pairs of numbers are watched once a version has a reference.",
      );
}

function listed(columns, rows, label) {
  const more = rows.length - MOST_SHOWN;
  return [
    table(columns, rows.slice(0, MOST_SHOWN), { label }),
    more > 0 &&
      h(
        "details",
        { "data-key": label },
        h("summary", null, `${more} more`),
        table(columns, rows.slice(MOST_SHOWN), { label: `${label}, continued` }),
      ),
  ];
}

const since = (one) =>
  one.log10_evidence >= 1 && one.onset_us > 0 && h("div", { class: "why" }, `since about ${clock(one.onset_us)}`);

const featureLink = (stream, name, { parts, query }) =>
  h(
    "a",
    {
      href: link(["models", parts[1], "feature"], {
        name,
        version: stream.version,
        arm: stream.arm,
        since: query.since,
      }),
    },
    name,
  );
