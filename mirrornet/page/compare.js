// A blind listening test after MUSHRA (ITU-R BS.1534): of each trial the reference, and sounds in
// random order that are graded from 0 to 100; among them the reference itself, and an anchor, the
// reference without what is above 3.5 kHz.

import { arrays, get } from "./api.js";
import { Player } from "./player.js";

const RATE_HZ = 44100;
const GRADES = ["bad", "poor", "fair", "good", "excellent"];
const REFERENCE = "reference";
const $ = (id) => document.getElementById(id);

function shuffled(list) {
  const found = [...list];
  for (let n = found.length - 1; n > 0; n--) {
    const other = Math.floor(Math.random() * (n + 1));
    [found[n], found[other]] = [found[other], found[n]];
  }
  return found;
}

const gradeOf = (score) => GRADES[Math.min(Math.floor(score / 20), 4)];

export class ComparePage {
  constructor(tell) {
    this.tell = tell;
    this.player = new Player();
    this.player.addEventListener("change", () => this.showPlaying());
    $("compare-begin").addEventListener("click", () => this.begin().catch(tell));
    $("compare-play").addEventListener("click", () => this.player.toggle());
    $("compare-reference").addEventListener("click", () => this.hear(REFERENCE));
    $("compare-next").addEventListener("click", () => this.next().catch(tell));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  async open() {
    const { tests } = await get("/api/compare");
    this.tests = tests;
    $("compare-test").replaceChildren(
      ...tests.map((test, number) => new Option(`${test.name}: ${test.trials.length} trials`, number)),
    );
    $("compare-begin").disabled = !tests.length;
    $("compare-none").hidden = Boolean(tests.length);
  }

  leave() {
    this.player.pause();
  }

  key(event) {
    if ($("compare-trial").hidden || $("compare").hidden) return;
    if (event.target.closest("input:not([type=range]), select, button, a")) return;
    const number = Number(event.key);
    if (event.key === " ") this.player.toggle();
    else if (event.key === "0") this.hear(REFERENCE);
    else if (number >= 1 && number <= this.order.length) this.hear(this.order[number - 1]);
    else return;
    event.preventDefault();
  }

  async begin() {
    this.test = Number($("compare-test").value);
    const { trials } = this.tests[this.test];
    this.trials = shuffled(trials.map((trial, number) => ({ ...trial, number })));
    this.at = -1;
    this.rows = [];
    this.session = crypto.randomUUID();
    $("compare-start").hidden = true;
    $("compare-end").hidden = true;
    await this.next();
  }

  // Keeps the grades of a trial, and goes on to the next one.
  async next() {
    if (this.at >= 0) this.keep();
    this.at += 1;
    if (this.at === this.trials.length) return this.end();
    const trial = this.trials[this.at];
    this.player.clear();
    $("compare-trial").hidden = false;
    $("compare-next").disabled = true;
    $("compare-title").textContent = `Trial ${this.at + 1} of ${this.trials.length}`;
    $("compare-sliders").replaceChildren();
    const asked = [REFERENCE, ...trial.sounds];
    const base = `/api/compare/${this.test}/${trial.number}`;
    const answers = await Promise.all(asked.map((_, n) => arrays(`${base}/${n}`)));
    this.player.set(REFERENCE, answers[0].audio, RATE_HZ);
    this.order = shuffled(trial.sounds);
    for (const name of this.order) {
      this.player.set(name, answers[asked.indexOf(name)].audio, RATE_HZ);
    }
    this.heard = new Set();
    this.began = performance.now();
    this.sliders = this.order.map((name, number) => this.slider(name, number));
    $("compare-sliders").replaceChildren(...this.sliders.map((one) => one.element));
    this.hear(REFERENCE);
  }

  slider(name, number) {
    const element = document.createElement("div");
    element.className = "graded";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Sound ${number + 1}`;
    button.addEventListener("click", () => this.hear(name));
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: 100, step: 1, value: 50, disabled: true });
    input.setAttribute("aria-label", `Grade of sound ${number + 1}, from bad to excellent`);
    const output = document.createElement("output");
    input.addEventListener("input", () => {
      output.textContent = `${input.value}: ${gradeOf(input.value)}`;
      input.dataset.graded = "yes";
      this.showNext();
    });
    output.textContent = "not graded";
    element.append(button, input, output);
    return { element, button, input, name };
  }

  hear(name) {
    this.player.hear(name);
    this.player.play();
    if (name === REFERENCE) return;
    this.heard.add(name);
    this.sliders.find((one) => one.name === name).input.disabled = false;
    this.showNext();
  }

  // All sounds must have been heard and graded.
  showNext() {
    $("compare-next").disabled = !this.sliders.every(({ input }) => input.dataset.graded);
    $("compare-next").textContent = this.at + 1 < this.trials.length ? "Next trial" : "Finish";
  }

  showPlaying() {
    const { playing, heard } = this.player;
    $("compare-play").textContent = playing ? "Pause" : "Play";
    $("compare-reference").setAttribute("aria-pressed", heard === REFERENCE);
    for (const { button, name } of this.sliders || []) button.setAttribute("aria-pressed", heard === name);
  }

  keep() {
    const seconds = ((performance.now() - this.began) / 1000).toFixed(1);
    const trial = this.trials[this.at].name;
    for (const { name, input } of this.sliders) {
      this.rows.push({ trial, stimulus: name, score: Number(input.value), seconds });
    }
  }

  end() {
    this.player.clear();
    $("compare-trial").hidden = true;
    $("compare-end").hidden = false;
    const scores = {};
    for (const { stimulus, score } of this.rows) (scores[stimulus] ||= []).push(score);
    const mean = (list) => list.reduce((sum, one) => sum + one, 0) / list.length;
    const sorted = Object.entries(scores).sort((a, b) => mean(b[1]) - mean(a[1]));
    $("compare-means").replaceChildren(
      ...sorted.map(([name, list]) => {
        const row = document.createElement("tr");
        for (const text of [name, mean(list).toFixed(0), list.length]) {
          row.append(Object.assign(document.createElement("td"), { textContent: text }));
        }
        return row;
      }),
    );
    $("compare-csv").href = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    $("compare-csv").download = "listening.csv";
    $("compare-start").hidden = false;
  }

  csv() {
    const quoted = (text) => `"${String(text).replace(/^([=+@\t-])/, "'$1").replaceAll('"', '""')}"`;
    const listener = $("compare-listener").value;
    const head = ["session", "listener", "test", "trial", "stimulus", "score", "seconds"];
    const rows = this.rows.map(({ trial, stimulus, score, seconds }) =>
      [this.session, listener, this.tests[this.test].name, trial, stimulus, score, seconds].map(quoted),
    );
    return [head, ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n";
  }
}
