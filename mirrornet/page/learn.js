// Runs of learning: losses and examples as they come, and one that is begun, stopped and resumed.

import { arrays, get, remove } from "./api.js";
import { CHANNELS, fitted, FRAME_S, Spectrogram } from "./spectrogram.js";

const LOOK_MS = 2000;
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const PANELS = ["target", "belief", "heard"];
const $ = (id) => document.getElementById(id);

export class LearnPage {
  constructor(tell) {
    this.tell = tell;
    this.view = { start: 0, end: 1, duration: 1, channels: [0, CHANNELS] };
    this.panels = PANELS.map((name) => new Spectrogram($(`learn-${name}`), this.view));
    this.clear(null);
    $("learn-begin").addEventListener("click", () => $("learn-files").click());
    $("learn-files").addEventListener("change", () => this.begin([...$("learn-files").files]).catch(tell));
    $("learn-stop").addEventListener("click", () => remove(`/api/runs/${this.name}`).catch(tell));
    $("learn-resume").addEventListener("click", () => this.goOn().catch(tell));
    new ResizeObserver(() => this.draw()).observe($("learn-curves"));
  }

  async open() {}

  enter() {
    this.timer ||= setInterval(() => this.look().catch(() => {}), LOOK_MS);
    this.list().catch(this.tell);
  }

  leave() {
    clearInterval(this.timer);
    this.timer = null;
  }

  clear(name) {
    this.name = name;
    this.log = [];
    this.saved = null;
    this.panels.forEach((panel) => panel.clear());
    $("learn-verdict").textContent = "";
  }

  async list() {
    const { runs } = await get("/api/runs");
    $("runs").replaceChildren(
      ...runs.map((run) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-pressed", run.name === this.name);
        button.append(run.name, Object.assign(document.createElement("span"), { textContent: run.state }));
        button.addEventListener("click", () => this.choose(run.name).catch(this.tell));
        item.append(button);
        return item;
      }),
    );
    if (!runs.length) {
      $("runs").append(Object.assign(document.createElement("li"), { className: "quiet", textContent: "None yet." }));
    }
  }

  async choose(name) {
    this.clear(name);
    await this.look();
    await this.list();
  }

  // Sends the sounds of a folder, and begins.
  async begin(files) {
    const sounds = files.filter((file) => /^(audio|video)\//.test(file.type));
    if (!sounds.length) throw new Error("There is no sound in this folder.");
    const name = $("learn-new").value.trim();
    const base = `/api/runs/${encodeURIComponent(name)}`;
    for (const [number, file] of sounds.entries()) {
      $("learn-state").textContent = `Reading file ${number + 1} of ${sounds.length}`;
      const path = `${base}/sounds?name=${encodeURIComponent(file.name)}`;
      const answer = await fetch(path, { method: "POST", body: file });
      if (!answer.ok) throw new Error((await answer.json()).error);
    }
    await fetchEmpty(base);
    await this.choose(name);
  }

  async goOn() {
    await fetchEmpty(`/api/runs/${this.name}`);
    await this.look();
  }

  // Asks for what is new of the run that is shown.
  async look() {
    if (!this.name || this.looking) return;
    this.looking = true;
    const name = this.name;
    try {
      const run = await get(`/api/runs/${encodeURIComponent(name)}?first=${this.log.length}`);
      if (name !== this.name) return;
      this.log.push(...run.log);
      if (run.log.length && run.log[0].step < (this.log.at(-run.log.length - 1)?.step ?? -1)) {
        this.log = run.log;
      }
      this.show(run);
      if (run.saved && run.saved !== this.saved) {
        this.saved = run.saved;
        this.showPanels(name).catch((error) => ($("learn-verdict").textContent = error.message));
      }
    } finally {
      this.looking = false;
    }
  }

  show(run) {
    $("learn-name").textContent = run.name;
    const event = run.event;
    const stage = event ? ` ${event.stage}: ${event.done} of ${event.total} ${event.note}` : "";
    $("learn-state").textContent = run.problem || `${run.state}.${stage}`;
    $("learn-stop").hidden = !run.ours;
    $("learn-resume").hidden = run.state !== "stopped" || !run.learns_from;
    if (run.state !== this.state) this.list().catch(() => {});
    this.state = run.state;
    this.draw();
  }

  async showPanels(name) {
    const shown = await arrays(`/api/runs/${encodeURIComponent(name)}/panels`);
    if (name !== this.name) return;
    const seconds = (shown.target.length / CHANNELS) * FRAME_S;
    Object.assign(this.view, { start: 0, end: seconds, duration: seconds });
    this.panels.forEach((panel, number) => panel.show(shown[PANELS[number]]));
    $("learn-verdict").textContent =
      `As last saved, on one sound: the plant differs by ${shown.verdict}; ${shown.notes} notes.`;
  }

  draw() {
    const canvas = $("learn-curves");
    const context = fitted(canvas);
    const { width, height } = canvas.getBoundingClientRect();
    context.clearRect(0, 0, width, height);
    const names = [...new Set(this.log.flatMap(Object.keys))].filter((name) => name !== "step");
    $("learn-legend").replaceChildren(
      ...names.map((name, n) => {
        const item = document.createElement("span");
        const line = document.createElement("i");
        line.style.background = COLOURS[n % COLOURS.length];
        const last = this.log.findLast((one) => name in one)?.[name];
        item.append(line, `${name} ${last?.toPrecision(3)}`);
        return item;
      }),
    );
    const values = this.log.flatMap((one) => names.map((name) => one[name])).filter((value) => value > 0);
    if (values.length) {
      const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
      const last = Math.max(this.log.at(-1).step, 1);
      names.forEach((name, n) => {
        context.beginPath();
        for (const one of this.log) {
          if (!(one[name] > 0)) continue;
          const y = (Math.log(one[name]) - low) / Math.max(high - low, 0.1);
          context.lineTo(10 + (one.step / last) * (width - 20), height - 10 - y * (height - 20));
        }
        context.strokeStyle = COLOURS[n % COLOURS.length];
        context.lineWidth = 1.8;
        context.stroke();
      });
    }
    this.panels.forEach((panel) => panel.draw());
  }
}

async function fetchEmpty(path) {
  const answer = await fetch(path, { method: "POST", body: "{}" });
  if (!answer.ok) throw new Error((await answer.json()).error);
}
