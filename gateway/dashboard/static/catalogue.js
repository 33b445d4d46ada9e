// Models and feature views with their documentation, so that people find and reuse them.

import { h } from "./dom.js";
import { bytes, duration, whole } from "./format.js";
import { card, empty, failed, pill, table } from "./parts.js";
import { link } from "./router.js";

export const catalogueView = {
  title: () => "Catalogue",
  sources: () => ({ models: ["/api/models", 3], views: ["/api/features", 3] }),
  draw(answers, errors) {
    return [
      h(
        "div",
        { class: "head" },
        h("h1", null, "Catalogue"),
        h("p", null, "Models that answer, and features that are stored for them."),
      ),
      failed(errors.models),
      answers.models && models(answers.models.models),
      failed(errors.views),
      answers.views && views(answers.views),
    ];
  },
};

function models(all) {
  const columns = [
    ["Model", { wide: true }],
    ["What it predicts", { wide: true }],
    ["Owner"],
    ["Stable"],
    ["Task"],
    ["Versions"],
  ];
  const rows = all.map((model) => {
    const stable = model.versions.find((one) => one.version === model.labels.stable);
    return {
      key: model.name,
      cells: [
        h("a", { class: "strong", href: link(["models", model.name]) }, model.name),
        model.description || h("span", { class: "quiet" }, "no description; add one to model.toml"),
        model.owner || h("span", { class: "quiet" }, "nobody"),
        model.labels.stable ? `v${model.labels.stable}` : "none",
        stable?.task || "–",
        model.versions.map((one) => `${one.version}`).join(", ") || "none",
      ],
    };
  });
  return card(
    "Models",
    { json: "/api/models", note: `${all.length}`, flush: true },
    rows.length
      ? table(columns, rows, { label: "Models" })
      : empty(
          "No model is published yet.",
          "Publish one: driftgate publish, or driftgate.publish(…) where it is trained.",
        ),
  );
}

function views({ views: all, problems }) {
  return [
    problems.map((problem) => h("p", { class: "error" }, problem)),
    all.length
      ? all.map(view)
      : card(
          "Feature views",
          { json: "/api/features", flush: true },
          empty(
            "No feature view is declared.",
            "Declare one to serve models by key: driftgate features declare.",
          ),
        ),
  ];
}

function view(report) {
  const { view: declared } = report;
  const json = `/api/features/${encodeURIComponent(declared.name)}`;
  const columns = [
    ["Feature", { wide: true }],
    ["Type"],
    ["Unit"],
    ["Meaning", { wide: true }],
    ["If missing"],
    ["If stale"],
  ];
  const rows = declared.features.map((one) => ({
    key: one.name,
    cells: [
      h("span", { class: "strong" }, one.name),
      h("code", null, one.length > 1 ? `${one.dtype}[${one.length}]` : one.dtype),
      one.unit || "–",
      one.description || h("span", { class: "quiet" }, "not documented"),
      one.on_missing ?? "null",
      one.on_stale ?? "last",
    ],
  }));
  return card(
    declared.name,
    {
      json,
      note: declared.description,
      flush: true,
      key: `view-${declared.name}`,
      extra: report.problem ? pill("stale") : null,
    },
    h(
      "div",
      { class: "facts empty" },
      fact(declared.owner || "nobody", "owner"),
      fact(declared.join_keys.map((one) => one.name).join(", "), "key"),
      fact(whole(report.rows), "entities"),
      fact(report.age_s === null ? "never" : duration(report.age_s), "since load"),
      fact(declared.ttl_s ? duration(declared.ttl_s) : "never", "stale after"),
      fact(bytes(report.size_bytes), "on disk"),
      fact(readers(report), "read by"),
    ),
    report.problem && h("p", { class: "error" }, report.problem),
    table(columns, rows, { label: `Features of ${declared.name}` }),
  );
}

const fact = (value, text) => h("span", null, `${text} `, h("b", null, value));

function readers(report) {
  if (!report.consumers.length) return "no model yet";
  return report.consumers.map((one, place) => [
    place ? ", " : "",
    h("a", { href: link(["models", one.model]) }, `${one.model} v${one.version}`),
  ]);
}
