// The page: which view is shown, what it asks for, and how it is kept up to date.

import { alertsView } from "./alerts.js";
import { catalogueView } from "./catalogue.js";
import { act, askForToken } from "./actions.js";
import { h, morph, show } from "./dom.js";
import { eventsView } from "./events.js";
import { featureView } from "./feature.js";
import { clock } from "./format.js";
import { Live } from "./live.js";
import { modelView } from "./model.js";
import { overviewView } from "./overview.js";
import { here, link } from "./router.js";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const connection = document.getElementById("connection");
const SAID = { live: "live", reconnecting: "reconnecting…", paused: "paused", locked: "access token needed" };
const PAGES = [
  ["Overview", []],
  ["Catalogue", ["catalogue"]],
  ["Alerts", ["alerts"]],
  ["Timeline", ["timeline"]],
];

// A view: {title, sources(place), draw(answers, errors, place) -> nodes, drawn?(main, answers)}
function viewOf(parts) {
  const [first, , third] = parts;
  if (first === "models") return third === "feature" ? featureView : modelView;
  return { catalogue: catalogueView, alerts: alertsView, timeline: eventsView }[first] ?? overviewView;
}

function tell(state, atMs) {
  connection.dataset.state = state;
  document.getElementById("unlock").hidden = state !== "locked";
  const last = atMs ? `, last answer ${clock(atMs * 1000)}` : "";
  const text = state === "reconnecting" ? `${SAID[state]}${last}` : SAID[state];
  if (connection.textContent !== text) connection.textContent = text;
}

const live = new Live(tell, () => askForToken(() => live.again()));

function open() {
  const place = here();
  const view = viewOf(place.parts);
  show(
    nav,
    PAGES.map(([text, parts]) =>
      h("a", { href: link(parts), "aria-current": isCurrent(place.parts, parts) ? "page" : null }, text),
    ),
  );
  if (main.dataset.place !== place.parts.join("/")) {
    main.dataset.place = place.parts.join("/");
    main.replaceChildren(h("p", { class: "quiet" }, "Loading…"));
    scrollTo(0, 0);
  }
  live.watch(view.sources(place), (answers, errors) => {
    document.title = `${view.title(place)} · Driftgate`;
    const fresh = main.cloneNode(false);
    fresh.append(...view.draw(answers, errors, here()).flat(Infinity).filter(Boolean));
    if (main.firstChild?.className === "quiet") main.replaceChildren();
    morph(main, fresh);
    view.drawn?.(main, answers, here());
  });
}

function isCurrent(parts, page) {
  const first = parts[0] === "models" ? undefined : parts[0];
  return first === page[0] && !(parts[0] === "models" && page.length);
}

addEventListener("hashchange", () => {
  const moved = main.dataset.place !== here().parts.join("/");
  open();
  if (moved) main.focus({ preventScroll: true });
});
document.addEventListener("click", (event) => act(event, () => live.again()));
document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-find]")) return;
  const { parts, query } = here();
  history.replaceState(null, "", link(parts, { ...query, find: event.target.value }));
  live.redraw();
});
document.addEventListener("submit", (event) => event.preventDefault());
open();
