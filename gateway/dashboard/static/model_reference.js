// What a model's versions are compared with, what that can show, and the versions themselves.

import { h } from "./dom.js";
import { bytes, clock, number, whole } from "./format.js";
import { evidence } from "./overview.js";
import { card, empty, failed, pill, table } from "./parts.js";

const SOURCES = {
  training: "the rows given at publishing",
  traffic: "recorded traffic",
  none: "nothing yet",
};
const WATCHES = {
  observing: "Observing: evidence is shown, and nobody is notified of drift.",
  proposed: "Proposed: two weeks have been seen; look at the back-test, then arm it.",
  armed: "Armed: drift notifies.",
};

export function reference(answers, errors, json) {
  const answer = answers.power;
  const body = errors.power
    ? failed(errors.power)
    : !answer
      ? empty("Loading…")
      : answer.versions.length
        ? answer.versions.map(settings)
        : empty(
            "No version has had rows in the last hour.",
            "Its reference and power are shown once it has.",
          );
  return card(
    "Reference and power",
    { json: json.power, note: "the smallest change that this traffic would show", flush: true },
    body,
  );
}

function settings(one) {
  const columns = [["Feature"], ["Smallest change seen within a day"], ["After rows", { num: true }]];
  const rows = one.features.map((feature) => ({
    key: feature.name,
    cells: [feature.name, feature.smallest, feature.rows === null ? "–" : whole(feature.rows)],
  }));
  const facts = [
    [
      "compared with",
      `${SOURCES[one.source] ?? one.source}${one.reference_rows ? `, ${whole(one.reference_rows)} rows` : ""}`,
    ],
    ["in force since", one.from_us ? clock(one.from_us) : "the version's first row"],
    ["traffic", `${number(one.rows_per_s)} rows/s in the last hour`],
    [
      "notifies at",
      ["evidence ", evidence(one.log10_target), one.judged_by_hours ? ", by hours of the week" : ""],
    ],
  ];
  return h(
    "div",
    { "data-key": `reference-${one.version}` },
    h(
      "dl",
      { class: "about empty" },
      h("dt", null, h("b", null, `v${one.version}`)),
      h("dd", null, one.reason || WATCHES[one.watch] || ""),
      facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
    ),
    rows.length
      ? h(
          "details",
          null,
          h("summary", null, `Smallest change of ${rows.length} features that would be seen`),
          table(columns, rows, { label: `Power of version ${one.version}`, className: "" }),
        )
      : null,
  );
}

export function versions(report, json) {
  const columns = [
    ["Version", { wide: true }],
    ["State", { wide: true }],
    ["Traffic", { num: true }],
    ["Published"],
    ["Task"],
    ["Size", { num: true }],
    ["Memory", { num: true }],
  ];
  const rows = report.versions.map((one) => ({
    key: `${one.version}`,
    cells: [
      [
        h("span", { class: "strong" }, `v${one.version}`),
        one.warnings.map((warning) => h("div", { class: "why" }, warning)),
      ],
      [pill(one.state), one.reason && h("div", { class: "why" }, one.reason)],
      one.percent ? `${number(one.percent, 4)}\u2009%` : "–",
      one.created_at ? clock(Date.parse(one.created_at) * 1000) : "–",
      one.task || "–",
      bytes(one.size_bytes),
      bytes(one.memory_bytes),
    ],
  }));
  return card(
    "Versions",
    { json: json.report, flush: true },
    rows.length ? table(columns, rows, { label: "Versions" }) : empty("No version is published."),
  );
}
