// One feature of one arm: its cells now, before and in the reference, what moved, and how bad values went.

import { modelPath, path } from "./api.js";
import { chartPlace, draw, gapped, label, lineMode, palette } from "./charts.js";
import { h } from "./dom.js";
import { clock, duration, number, percent, whole } from "./format.js";
import { RANGES, roundsOf } from "./model.js";
import { evidence } from "./overview.js";
import { armName, card, choice, empty, failed, legend, pill, table } from "./parts.js";
import { here, link } from "./router.js";

const WINDOWS = [
  ["1", "1 min"],
  ["5", "5 min"],
  ["15", "15 min"],
  ["60", "1 h"],
  ["360", "6 h"],
  ["1440", "1 d"],
];
const SIDES = [
  ["reference", "reference", "var(--mute)"],
  ["before", "window before", "var(--bar-5)"],
  ["window", "window", "var(--bar)"],
];

function source({ parts, query }) {
  return path(modelPath(parts[1], "/feature"), {
    name: query.name,
    version: query.version,
    arm: query.arm,
    minutes: query.minutes,
    since: query.since ?? "24h",
  });
}

export const featureView = {
  title: ({ parts, query }) => `${query.name} of ${parts[1]}`,
  sources: (place) => ({ feature: [source(place), roundsOf(place.query.since)] }),
  draw(answers, errors, place) {
    const one = flat(answers.feature, place);
    return [
      head(place, one),
      failed(errors.feature),
      one && [summary(one), h("div", { class: "grid" }, cellsCard(one), trendCard(one)), namesCard(one)],
    ];
  },
  drawn(main, answers) {
    if (answers.feature) drawFeature(flat(answers.feature, here()));
  },
};

const minutesOf = (one) => one && `${Math.round((one.window.end_us - one.window.first_us) / 6e7)}`;

const flat = (answer, place) => answer && { ...answer, ...answer.windows, json: source(place) };

function head({ parts, query }, one) {
  const model = parts[1];
  return h(
    "div",
    { class: "head" },
    h(
      "div",
      { class: "crumb" },
      h("a", { href: "#/" }, "Overview"),
      " / ",
      h(
        "a",
        { href: link(["models", model], { since: query.since, version: query.version, arm: query.arm }) },
        model,
      ),
      " / ",
      query.name,
    ),
    h("h1", null, query.name),
    h("p", null, one ? [armName(one), one.role].filter(Boolean).join(" · ") : ""),
    h(
      "div",
      { class: "end controls" },
      h("span", { class: "quiet small" }, "window"),
      choice("Window", WINDOWS, query.minutes ?? minutesOf(one), [...parts], (minutes) => ({ ...query, minutes })),
      h("span", { class: "quiet small" }, "trend"),
      choice("Trend", RANGES, query.since ?? "24h", [...parts], (since) => ({ ...query, since })),
    ),
  );
}

function summary(one) {
  const { effect } = one;
  const moved =
    one.moved &&
    h(
      "p",
      null,
      pill(one.is_named ? "drifting" : "observing"),
      " ",
      h("b", null, one.moved.cell),
      one.moved.rises
        ? " has more rows than the reference lets expect"
        : " has fewer rows than the reference lets expect",
      one.moved.onset_us ? `, since about ${clock(one.moved.onset_us)}` : "",
      ". Evidence ",
      evidence(one.log10_evidence),
      ".",
    );
  const sizes =
    effect.type === "effect_sizes"
      ? h(
          "div",
          { class: "facts" },
          fact(number(effect.psi), `PSI without chance, ${effect.magnitude}`),
          fact(number(effect.js_distance), "JS distance (base 2)"),
          effect.w1_sigma !== null && fact(`${number(effect.w1_sigma)} σ`, "Wasserstein"),
          effect.ks !== null && fact(number(effect.ks), "KS distance"),
          fact(whole(one.window.rows), "rows in the window"),
        )
      : h("p", { class: "quiet" }, `How large the difference is cannot be said: ${effect.reason}.`);
  return card(
    "What moved",
    { json: one.json, note: `window ${clock(one.window.first_us)} to ${clock(one.window.end_us)}` },
    moved ??
      h(
        "p",
        { class: "quiet" },
        one.log10_evidence === null
          ? "Nothing can be said of drift here: there is no reference, or too few of its rows."
          : "Nothing speaks for drift of this feature.",
      ),
    sizes,
  );
}

const fact = (value, text) => h("span", null, h("b", null, value), ` ${text}`);

function cellsCard(one) {
  const used = one.cells.filter((cell) => cell.reference || cell.window || cell.before);
  const largest = Math.max(
    1e-9,
    ...used.flatMap((cell) => SIDES.map(([side]) => share(one, cell, side) ?? 0)),
  );
  const columns = [
    ["Cell"],
    ["Shares"],
    ["Reference", { num: true }],
    ["Before", { num: true }],
    ["Window", { num: true }],
  ];
  const rows = used.map((cell) => ({
    key: cell.name,
    className: cell.name === one.moved?.cell ? "moved" : null,
    cells: [
      h("span", { class: "mono" }, cell.name.replace("= ", "=\u00a0")),
      h(
        "div",
        { class: "pair", "aria-hidden": "true" },
        SIDES.map(([side, , colour]) =>
          h("i", {
            style: { "--share": `${((share(one, cell, side) ?? 0) / largest) * 100}%`, "--arm": colour },
          }),
        ),
      ),
      ...SIDES.map(([side]) => percent(share(one, cell, side))),
    ],
  }));
  const legend = h(
    "div",
    { class: "legend small empty" },
    SIDES.map(([side, text, colour]) =>
      h(
        "span",
        null,
        h("i", { class: "dot", style: { "--arm": colour } }),
        `${text}, ${whole(one[side].rows)} rows`,
      ),
    ),
  );
  return card(
    "Cells",
    { json: one.json, note: "frozen with the reference", flush: true },
    legend,
    rows.length
      ? table(columns, rows, { label: "Shares by cell", className: "cells" })
      : empty("No row in the window, the one before or the reference."),
  );
}

const share = (one, cell, side) => (one[side].rows ? cell[side] / one[side].rows : null);

function trendCard(one) {
  const has = one.trend.start_us.length > 0;
  return card(
    "Trend",
    { json: one.json, note: has ? `steps of ${duration(one.trend.step_us / 1e6)}` : "" },
    has
      ? [
          h("h3", null, "Share of null, unknown and out of range values"),
          legend(badLines(one.trend).map(([name]) => name)),
          chartPlace("bad", "Share of null, new and out-of-range values over time"),
          one.trend.mean.some((value) => value !== null)
            ? [
                h("h3", null, "Mean"),
                legend(["window", "reference"]),
                chartPlace("mean", "Mean of the feature over time"),
              ]
            : null,
        ]
      : empty("No windows with this reference in this time.", "Choose a longer time, or wait for a window."),
  );
}

// Kinds of bad values that this feature can have.
const badLines = (trend) =>
  [
    ["null", trend.null],
    ["new value", trend.new],
    ["out of range", trend.out_of_range],
    ["infinite", trend.infinite],
    ["wrong type", trend.type_error],
  ].filter(([, values]) => values);

function drawFeature(one) {
  const colours = palette();
  const { trend } = one;
  const range = [new Date(trend.first_us / 1000), new Date(trend.end_us / 1000)];
  const bad = badLines(trend);
  const lines = bad.map(([name, values], place) => ({
    ...gapped(trend.start_us, values, trend.step_us),
    name,
    mode: lineMode(values),
    line: { color: colours[place], width: 1.8 },
    hovertemplate: "%{y:.2%}",
  }));
  const most = Math.max(0.01, ...bad.flatMap(([, values]) => values.filter((value) => value !== null))) * 1.1;
  draw("bad", lines, {
    xaxis: { range, type: "date" },
    yaxis: { tickformat: ".2~%", range: [0, Math.min(1, most)] },
  });
  const mean = {
    ...gapped(trend.start_us, trend.mean, trend.step_us),
    name: label("mean"),
    mode: lineMode(trend.mean),
    line: { color: colours[0], width: 1.8 },
    hovertemplate: "%{y:.4~g}",
  };
  const reference = {
    x: range,
    y: [one.reference.mean, one.reference.mean],
    name: "reference",
    mode: "lines",
    line: { color: colours[1], dash: "dash", width: 1.4 },
    hoverinfo: "skip",
  };
  draw("mean", one.reference.mean === null ? [mean] : [reference, mean], {
    xaxis: { range, type: "date" },
    yaxis: { rangemode: "normal" },
  });
}

function namesCard(one) {
  if (!one.new_values.length) return null;
  const rows = one.new_values.map((value) => ({
    key: value.value,
    cells: [h("span", { class: "mono" }, value.value), whole(value.count)],
  }));
  return card(
    "New values",
    { json: one.json, note: "that the reference does not have, the most frequent ones", flush: true },
    table(
      [
        ["Value", { wide: true }],
        ["Rows", { num: true }],
      ],
      rows,
      { label: "New values", className: "" },
    ),
  );
}
