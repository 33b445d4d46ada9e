// Asks again and again while the page is looked at, and says when nobody answers.

import { Refused, get } from "./api.js";

const EVERY_MS = 3000;
const LONGEST_MS = 15000;
const SLOW_MS = 3000;
const PATIENCE_MS = 10000;

export class Live {
  // `onState(state, atMs)` is told "live", "reconnecting", "paused" or "locked".
  constructor(onState, onRefused) {
    this.onState = onState;
    this.onRefused = onRefused;
    this.answeredAt = 0;
    document.addEventListener("visibilitychange", () => this.#turn());
    addEventListener("online", () => this.#turn());
  }

  // `sources`: name to path, or to [path, n] to ask in every nth round only. `draw(answers, errors)` is called
  // with whatever there is after each round.
  watch(sources, draw) {
    this.stop();
    this.current = {
      sources,
      draw,
      answers: {},
      errors: {},
      failures: 0,
      rounds: 0,
      aborter: new AbortController(),
    };
    this.#round(this.current);
  }

  stop() {
    clearTimeout(this.timer);
    this.current?.aborter.abort();
    this.current = undefined;
  }

  again() {
    this.#turn();
  }

  // Draw once more what is known.
  redraw() {
    this.current?.draw(this.current.answers, this.current.errors);
  }

  #turn() {
    clearTimeout(this.timer);
    if (document.hidden) this.onState("paused", this.answeredAt);
    else if (this.current && !this.current.running) this.#round(this.current);
  }

  async #round(watch) {
    watch.running = true;
    const names = Object.keys(watch.sources).filter((name) => isDue(watch, name));
    watch.rounds += 1;
    const slow = setTimeout(
      () => this.current === watch && this.onState("reconnecting", this.answeredAt),
      SLOW_MS,
    );
    const signal = AbortSignal.any([watch.aborter.signal, AbortSignal.timeout(PATIENCE_MS)]);
    const found = await Promise.allSettled(names.map((name) => get([watch.sources[name]].flat()[0], signal)));
    clearTimeout(slow);
    watch.running = false;
    if (this.current !== watch) return;
    const reached =
      !names.length || found.some((one) => one.status === "fulfilled" || one.reason instanceof Refused);
    names.forEach((name, place) => keep(watch, name, found[place]));
    this.#say(watch, reached);
    const refused = Object.values(watch.errors).find((error) => error?.status === 401);
    if (refused) {
      this.onState("locked", this.answeredAt);
      return this.onRefused(refused);
    }
    watch.draw(watch.answers, watch.errors);
    if (!document.hidden) this.timer = setTimeout(() => this.#round(watch), pause(watch));
  }

  #say(watch, reached) {
    watch.failures = reached ? 0 : watch.failures + 1;
    if (reached) this.answeredAt = Date.now();
    this.onState(reached ? "live" : "reconnecting", this.answeredAt);
  }
}

function isDue(watch, name) {
  const every = [watch.sources[name]].flat()[1] ?? 1;
  return watch.rounds % every === 0 || !(name in watch.answers || watch.errors[name]);
}

function keep(watch, name, result) {
  const error = result.status === "rejected" ? result.reason : undefined;
  if (!error) watch.answers[name] = result.value;
  if (!error || error instanceof Refused) watch.errors[name] = error;
}

const pause = (watch) => Math.min(LONGEST_MS, watch.failures ? 1000 * 1.5 ** watch.failures : EVERY_MS);
