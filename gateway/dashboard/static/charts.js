// Charts by plotly, which is fetched after everything else is on the page.

import { h } from "./dom.js";

let arriving;

function library() {
  arriving ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.querySelector('meta[name="charts"]').content;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      arriving = undefined;
      reject(
        new Error(
          "Charts are not installed: pip install 'driftgate[server]'. The tables have the same numbers.",
        ),
      );
    };
    document.head.append(script);
  });
  return arriving;
}

// A place for a chart; what it shows is described for those who do not see it.
export const chartPlace = (name, label, className = "") =>
  h(
    "div",
    {
      class: `chart ${className}`,
      "data-keep": true,
      "data-key": name,
      id: `chart-${name}`,
      role: "img",
      "aria-label": label,
    },
    h("p", { class: "chart-wait" }, "Drawing…"),
  );

const drawn = new WeakMap();

export async function draw(name, traces, layout = {}) {
  const place = document.getElementById(`chart-${name}`);
  if (!place) return;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const wanted = JSON.stringify([traces, layout, dark]);
  if (drawn.get(place) === wanted) return;
  try {
    const plotly = await library();
    if (!place.isConnected) return;
    if (!drawn.has(place)) place.replaceChildren();
    drawn.set(place, wanted);
    await plotly.react(place, traces, merged(look(), layout), {
      displayModeBar: false,
      responsive: true,
      scrollZoom: false,
    });
  } catch (error) {
    place.replaceChildren(h("p", { class: "chart-wait" }, error.message));
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  dispatchEvent(new Event("hashchange")),
);

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const palette = () => ["--bar", "--bar-2", "--bar-3", "--bar-4", "--bar-5"].map(colour);

// Plotly reads a little HTML in labels; names are text.
export const label = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function look() {
  const axis = {
    gridcolor: colour("--line"),
    linecolor: colour("--line"),
    zeroline: false,
    fixedrange: true,
    automargin: true,
    tickfont: { size: 11 },
  };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: 'system-ui, "Segoe UI", Roboto, sans-serif', size: 12, color: colour("--soft") },
    margin: { l: 44, r: 10, t: 8, b: 34 },
    hovermode: "x unified",
    hoverlabel: {
      bgcolor: colour("--card"),
      bordercolor: colour("--line"),
      font: { color: colour("--ink") },
    },
    showlegend: false,
    xaxis: { ...axis, showgrid: false },
    yaxis: { ...axis, rangemode: "tozero" },
  };
}

function merged(base, over) {
  const found = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const isPlain = value && typeof value === "object" && !Array.isArray(value);
    found[name] = isPlain ? merged(base[name] ?? {}, value) : value;
  }
  return found;
}

// Few points are shown as such: a line has no length before there are two.
export const lineMode = (values) => (values.length < 40 ? "lines+markers" : "lines");

// Columns over time with a gap wherever a step is missing.
export function gapped(startUs, values, stepUs) {
  const x = [];
  const y = [];
  startUs.forEach((start, place) => {
    if (place && start - startUs[place - 1] > 1.5 * stepUs) {
      x.push(new Date((start - stepUs) / 1000));
      y.push(null);
    }
    x.push(new Date(start / 1000));
    y.push(values[place]);
  });
  return { x, y };
}
