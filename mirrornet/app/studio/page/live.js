// Keeps the predicted spectrogram and the plant's sound up to date with a score that changes.
//
// One request of each kind is on its way at a time, and the latest score is next: what came between
// is left out. A long sound is renewed in parts, the one that is looked at first.

import { arrays } from "./api.js";

const PART_S = 4;

export class Live {
  // `ask(kind, score, part)` requests a part; `show(kind, answer)` receives it; `say(error)`.
  constructor(kind, duration, ask, show, say) {
    Object.assign(this, { kind, duration, ask, show, say });
    this.score = null;
    this.parts = [];
    this.busy = false;
  }

  // Renews all parts for a score, the one around `near` (s) first.
  renew(score, near) {
    this.score = score;
    this.parts = partsFrom(this.duration, near);
    this.run();
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    while (this.parts.length) {
      const [score, part] = [this.score, this.parts.shift()];
      try {
        const answer = await this.ask(this.kind, score, part);
        if (answer) this.show(this.kind, answer, part, score !== this.score);
      } catch (error) {
        this.parts = [];
        this.say(error);
      }
    }
    this.busy = false;
  }

  stop() {
    this.parts = [];
  }
}

// Parts of a sound: the one around a time first, then those after it, then those before.
export function partsFrom(duration, near) {
  const count = Math.max(Math.ceil(duration / PART_S - 1e-6), 1);
  const first = Math.min(Math.max(Math.floor(near / PART_S), 0), count - 1);
  const order = [...Array(count).keys()];
  return [...order.slice(first), ...order.slice(0, first).reverse()].map((n) => [
    n * PART_S,
    Math.min((n + 1) * PART_S, duration),
  ]);
}

export const askMatch = (match) => (kind, score, [start, end]) =>
  arrays(`/api/matches/${match}/${kind}`, { score, start_s: start, end_s: end, every: 1 });
