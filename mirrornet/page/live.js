// Keeps the predicted spectrogram and the plant's sound up to date with a score that changes.
//
// A sound is renewed in parts, the one that is looked at first. A few requests are on their way at a
// time, and the latest score is next: what came between is left out.

import { arrays } from "./api.js";

export class Live {
  // `kind` is what is asked for: `predict` or `play`; `part` the length of parts in s; `lanes` how
  // many requests are on their way at a time. `ask(kind, score, part)` requests a part,
  // `show(kind, answer, part)` receives it, and `say(error)` what went wrong.
  constructor(kind, duration, { part, lanes }, ask, show, say) {
    Object.assign(this, { kind, duration, part, lanes, ask, show, say });
    this.score = null;
    this.number = 0; // of the latest score
    this.parts = [];
    this.shown = {}; // of each part, by its start: the number of the score that is shown
    this.running = 0;
  }

  // Renews all parts for a score, the one around `near` (s) first.
  renew(score, near) {
    this.score = score;
    this.number += 1;
    this.parts = partsFrom(this.duration, this.part, near);
    while (this.running < this.lanes && this.parts.length) this.run();
  }

  async run() {
    this.running += 1;
    while (this.parts.length) {
      const [score, number, part] = [this.score, this.number, this.parts.shift()];
      try {
        const answer = await this.ask(this.kind, score, part);
        if (number < (this.shown[part[0]] || 0)) continue; // overtaken
        this.shown[part[0]] = number;
        this.show(this.kind, answer, part);
      } catch (error) {
        this.parts = [];
        this.say(error);
      }
    }
    this.running -= 1;
  }

  stop() {
    this.parts = [];
  }
}

// Parts of a sound: the one around a time first, then those after it, then those before.
export function partsFrom(duration, length, near) {
  const count = Math.max(Math.ceil(duration / length - 1e-6), 1);
  const first = Math.min(Math.max(Math.floor(near / length), 0), count - 1);
  const order = [...Array(count).keys()];
  return [...order.slice(first), ...order.slice(0, first).reverse()].map((n) => [
    n * length,
    Math.min((n + 1) * length, duration),
  ]);
}

export const askMatch = (match) => (kind, score, [start, end]) =>
  arrays(`/api/matches/${match}/${kind}`, { score, start_s: start, end_s: end, every: 1 });
