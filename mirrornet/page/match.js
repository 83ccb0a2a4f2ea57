// The page on which a sound is matched, heard, seen and shaped.

import { arrays, follow, get, post, put, remove, upload } from "./api.js";
import { History } from "./history.js";
import { between, row } from "./knobs.js";
import { askMatch, Live } from "./live.js";
import { Player } from "./player.js";
import { noteName, Roll } from "./roll.js";
import { CHANNELS, FRAME_S, Spectrogram } from "./spectrogram.js";

const RATE_HZ = 44100;
const PARTS = { predict: { part: 4, lanes: 1 }, play: { part: 2, lanes: 2 } };
const $ = (id) => document.getElementById(id);
const view = { start: 0, end: 1, duration: 1, channels: [0, CHANNELS] };

export class MatchPage {
  constructor(tell) {
    this.tell = tell;
    this.player = new Player();
    this.roll = new Roll($("roll"), view);
    this.shown = Object.fromEntries(
      ["target", "belief", "heard", "difference"].map((id) => [id, new Spectrogram($(id), view)]),
    );
    this.versions = [];
    this.locked = new Set();
    this.job = null;
    this.visit = 0; // counts sounds, so that what comes for an earlier one is dropped
  }

  async open() {
    this.listen();
    const { plants, examples } = await get("/api/studio");
    this.plants = plants;
    for (const plant of plants) {
      const option = new Option(plant.label, plant.name);
      option.disabled = Boolean(plant.to_install);
      $("plant").add(option);
    }
    this.notePlant();
    examples.forEach((name, number) => {
      const button = Object.assign(document.createElement("button"), {
        type: "button", className: "link", textContent: name,
      });
      button.addEventListener("click", () => this.take(post(`/api/examples/${number}`)));
      $("examples").append(number ? ", " : "", button);
    });
  }

  leave() {
    this.player.pause();
  }

  notePlant() {
    const plant = this.plants.find((one) => one.name === $("plant").value);
    if (!plant) return;
    $("plant-note").textContent = plant.weights
      ? "Weights ship for this synthesizer: the match is found without playing it."
      : "No weights ship for this synthesizer: its patch is searched by playing, 200 times.";
    $("timbre").disabled = plant.name !== "vital";
  }

  listen() {
    const on = (id, kind, act) => $(id).addEventListener(kind, act);
    on("choose", "click", () => $("file").click());
    on("file", "change", () => {
      const [file] = $("file").files;
      if (file) this.give(file.name, file);
      $("file").value = "";
    });
    on("plant", "change", () => this.notePlant());
    on("record", "click", () => this.record().catch(this.tell));
    on("again", "click", () => this.close());
    on("play", "click", () => this.player.toggle());
    on("hear-a", "click", () => this.player.hear("a"));
    on("hear-b", "click", () => this.player.hear("b"));
    on("whole", "click", () => this.setRegion(null));
    on("volume", "input", () => this.player.setVolume(Number($("volume").value)));
    on("undo", "click", () => this.restore(this.history?.undo()));
    on("redo", "click", () => this.restore(this.history?.redo()));
    on("reset", "click", () => this.change(structuredClone(this.version.score), true));
    on("refine", "click", () => this.refine());
    on("stop", "click", () => this.job && remove(`/api/jobs/${this.job}`).catch(this.tell));
    on("morph", "input", () => this.morph(false));
    on("morph", "change", () => this.morph(true));
    on("morph-to", "change", () => ($("morph").value = 0));
    on("midi", "dragstart", (event) => {
      const url = new URL($("midi").href);
      event.dataTransfer.setData("DownloadURL", `audio/midi:${this.name}.mid:${url}`);
      event.dataTransfer.setData("text/uri-list", url);
    });
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      $("drop").classList.add("over");
    });
    document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      $("drop").classList.remove("over");
      const [file] = event.dataTransfer.files;
      if (file && !$("match").hidden) this.give(file.name, file);
    });
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe($("roll"));
    $("roll").addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    on("zoom-in", "click", () => this.zoom(0.5));
    on("zoom-out", "click", () => this.zoom(2));
    this.player.addEventListener("change", () => this.showTransport());
    this.roll.addEventListener("select", () => this.showNote());
    this.roll.addEventListener("seek", ({ detail }) => this.player.seek(detail));
    this.roll.addEventListener("region", ({ detail }) => this.setRegion(detail));
    this.roll.addEventListener("edit", () => this.renew("predict"));
    this.roll.addEventListener("edited", () => this.change(this.score, true));
  }

  key(event) {
    const typing = event.target.closest("select, input:not([type=range]), textarea");
    if ($("match").hidden || $("work").hidden || typing || event.metaKey) return;
    const { key, shiftKey, altKey, ctrlKey } = event;
    const onRoll = event.target === $("roll");
    const button = event.target.closest("button, a");
    const acts = {
      " ": () => !button && this.player.toggle(),
      a: () => this.player.hear("a"),
      b: () => this.player.hear("b"),
      z: () => this.restore(shiftKey ? this.history.redo() : this.history.undo()),
      y: () => this.restore(this.history.redo()),
      Z: () => this.restore(this.history.redo()),
    };
    const way = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (onRoll || event.target === document.body) {
      if (way) {
        acts[key] = () => {
          if (shiftKey) this.roll.nudge({ time: 0.01 * way });
          else if (altKey) this.roll.nudge({ length: 0.01 * way });
          else this.roll.step(way);
        };
      }
      acts.ArrowUp = () => this.roll.nudge({ pitch: shiftKey ? 12 : 1 });
      acts.ArrowDown = () => this.roll.nudge({ pitch: shiftKey ? -12 : -1 });
      acts.Delete = acts.Backspace = () => this.roll.deleteSelected();
      acts.n = () => {
        const near = this.score.notes[this.roll.selected] || this.score.notes[0];
        this.roll.add(this.player.position, near.pitch_midi);
      };
    }
    if (!acts[key] || (ctrlKey && key !== "z" && key !== "y")) return;
    if (acts[key]() !== false) event.preventDefault();
  }

  // A sound comes in

  give(name, blob) {
    return this.take(upload(name, blob));
  }

  async record() {
    if (this.recorder) return this.recorder.stop();
    const media = await navigator.mediaDevices
      ?.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } })
      .catch(() => null);
    if (!media) throw new Error("The browser gives no microphone to this page; allow it, or drop a file.");
    const parts = [];
    this.recorder = new MediaRecorder(media);
    this.recorder.ondataavailable = ({ data }) => parts.push(data);
    this.recorder.onstop = () => {
      media.getTracks().forEach((track) => track.stop());
      this.recorder = null;
      $("record").textContent = "Record";
      $("record").setAttribute("aria-pressed", "false");
      this.give("recording.webm", new Blob(parts, { type: parts[0]?.type }));
    };
    this.recorder.start();
    $("record").textContent = "Stop recording";
    $("record").setAttribute("aria-pressed", "true");
  }

  // Shows a sound that the server has heard, and matches it.
  async take(uploaded) {
    this.close();
    const visit = this.visit;
    const isOver = () => visit !== this.visit;
    try {
      this.busy("Listening");
      $("start").hidden = true;
      $("work").hidden = false;
      const sound = await uploaded;
      if (isOver()) return;
      this.name = sound.name;
      $("sound-name").textContent = sound.name;
      Object.assign(view, { start: 0, end: sound.duration_s, duration: sound.duration_s });
      const started = post("/api/matches", this.options(sound.key));
      const target = await arrays(`/api/sounds/${sound.key}`);
      const { job } = await started;
      if (isOver()) return remove(`/api/jobs/${job}`);
      this.target = target.heard;
      this.shown.target.show(target.heard);
      this.player.set("a", target.audio, RATE_HZ);
      this.player.hear("a");
      this.draw();
      const found = await this.follow(job);
      if (isOver()) return;
      this.roll.found = [];
      const quick = this.isQuick();
      await this.accept(quick ? "knobs" : "match", found, sound.warnings);
      for (const [number, other] of found.others.entries()) {
        this.addVersion(`answer ${number + 2}`, { ...other, match: found.match });
      }
      this.showVersions();
      if (quick) await this.matchMore(sound.key, isOver);
    } catch (error) {
      if (isOver()) return;
      if (!error.cancelled) this.tell(error);
      if (this.versions.length) this.idle();
      else this.close();
    }
  }

  // Whether the match with knobs is to be heard while the wavetable, which takes longer, is fitted.
  isQuick() {
    return !$("timbre").value && !$("timbre").disabled && $("candidates").value === "1";
  }

  // Fits the wavetable; it is shown if it is closer, and nothing was changed meanwhile.
  async matchMore(sound, isOver) {
    const asked = await post("/api/matches", { sound, plant: $("plant").value, timbre: "auto" });
    const found = await this.follow(asked.job);
    if (isOver()) return;
    const closer = found.error < this.version.error;
    const untouched = !this.history.past.length && this.version === this.versions[0];
    if (found.set === this.version.set) return; // knobs again
    if (closer && untouched) {
      $("warnings").replaceChildren();
      await this.accept("wavetable", found, []);
    } else {
      this.addVersion("wavetable", found);
    }
    this.showVersions();
  }

  // What is asked for of a match.
  options(sound) {
    const options = { sound, plant: $("plant").value };
    if ($("timbre").value && !$("timbre").disabled) options.timbre = $("timbre").value;
    if (this.isQuick()) options.timbre = "knobs";
    const answers = Number($("candidates").value);
    if (answers > 1) Object.assign(options, { candidates: answers, refine: 20 });
    const plant = this.plants.find((one) => one.name === options.plant);
    if (plant && !plant.weights) options.refine ??= 200;
    return options;
  }

  // Leaves the sound, and what is being done for it.
  close() {
    this.visit += 1;
    if (this.job) remove(`/api/jobs/${this.job}`).catch(() => {});
    this.idle();
    this.clear();
    $("work").hidden = true;
    $("start").hidden = false;
  }

  clear() {
    this.player.clear();
    this.versions = [];
    this.version = this.score = this.history = null;
    this.locked.clear();
    this.live?.forEach((one) => one.stop());
    this.roll.region = null;
    this.roll.found = [];
    this.roll.selected = -1;
    this.roll.show([]);
    for (const one of Object.values(this.shown)) one.clear();
    for (const id of ["warnings", "versions", "patch-controls", "note-controls"]) $(id).replaceChildren();
    $("verdict").textContent = "";
    $("sound-name").textContent = "";
    for (const id of ["zip", "midi", "preset"]) $(id).removeAttribute("href");
  }

  // Jobs

  busy(text) {
    $("progress").hidden = false;
    $("progress-bar").removeAttribute("value");
    $("progress-text").textContent = text;
    $("refine").disabled = true;
  }

  idle() {
    $("progress").hidden = true;
    $("refine").disabled = false;
    this.job = null;
  }

  async follow(job) {
    this.job = job;
    this.busy("Finding the notes");
    const began = performance.now();
    const found = await follow(job, (event) => {
      if (event.kind === "waiting") $("progress-text").textContent = `Waiting: number ${event.place} in line`;
      if (event.kind === "notes") {
        this.roll.found = event.notes;
        this.roll.draw();
      }
      if (event.kind === "say") $("progress-text").textContent = event.text;
      if (event.kind === "begin" || event.kind === "advance") {
        $("progress-bar").max = event.total || 1;
        $("progress-bar").value = event.done;
        $("progress-text").textContent = `${event.stage}: ${event.done} of ${event.total} ${event.note}`;
      }
      if (event.best) this.improve(event.best);
    });
    this.idle();
    this.took = performance.now() - began;
    return found;
  }

  // A better answer during refinement: its controls are shown and played.
  improve(best) {
    if (!this.score || !this.refining) return;
    const names = new Set(this.version.controls.filter((one) => one.scope === "patch").map((one) => one.name));
    const patch = Object.entries(best.controls).filter(([name]) => names.has(name));
    this.score.patch = { ...this.score.patch, ...Object.fromEntries(patch) };
    this.showControls();
    this.renew("predict", "play");
  }

  async refine() {
    if (this.job || !this.score) return;
    const visit = this.visit;
    this.refining = structuredClone(this.score);
    try {
      const renders = Number($("renders").value);
      const options = { score: this.score, locked: [...this.locked], refine: renders };
      const started = await post(`/api/matches/${this.version.match}/refine`, options);
      const found = await this.follow(started.job);
      if (visit !== this.visit) return;
      await this.accept(`refined ${this.versions.length}`, found, []);
      this.showVersions();
    } catch (error) {
      if (visit !== this.visit) return;
      this.idle();
      this.change(this.refining, true);
      if (!error.cancelled) this.tell(error);
    } finally {
      this.refining = null;
    }
  }

  // An answer of the server becomes the version that is shaped.
  async accept(name, found, warnings) {
    const plays = await arrays(`/api/matches/${found.match}/sound`);
    this.addVersion(name, found);
    this.show(this.versions.at(-1), plays);
    for (const text of [...warnings, ...found.warnings]) {
      const item = document.createElement("li");
      item.textContent = text;
      $("warnings").append(item);
    }
    if (!this.player.playing) this.player.hear("b");
  }

  // Versions

  addVersion(name, found) {
    this.versions.push({ name, ...found });
  }

  showVersions() {
    $("versions").replaceChildren(
      ...this.versions.map((version) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-pressed", version === this.version);
        const error = version.error === null ? "" : `${(100 * version.error).toPrecision(2)} %`;
        button.append(version.name, Object.assign(document.createElement("span"), { textContent: error }));
        button.addEventListener("click", () => this.show(version));
        item.append(button);
        return item;
      }),
    );
    const others = this.versions.filter((one) => one !== this.version && one.set === this.version?.set);
    $("morph-row").hidden = !others.length;
    const select = $("morph-to");
    select.replaceChildren(...others.map((one) => new Option(one.name, this.versions.indexOf(one))));
    $("morph").value = 0;
  }

  // Shapes a version; `plays`, if given, is its sound and spectrogram.
  show(version, plays = null) {
    this.version = version;
    const score = structuredClone(version.score);
    this.history = new History(score);
    this.live?.forEach((one) => one.stop());
    const receive = (...args) => this.receive(...args);
    this.live = ["predict", "play"].map(
      (kind) => new Live(kind, view.duration, PARTS[kind], askMatch(version.match), receive, this.tell),
    );
    if (!version.predicts) this.shown.belief.clear();
    const frames = Math.ceil(view.duration / FRAME_S);
    this.belief = new Uint8Array(frames * CHANNELS);
    this.plays = { audio: new Float32Array(Math.round(view.duration * RATE_HZ)), heard: new Uint8Array(frames * CHANNELS) };
    this.score = score;
    $("verdict").textContent = version.verdict ? `Differs by ${version.verdict}` : "";
    this.showVersions();
    this.showControls();
    this.roll.show(score.notes, version.transposition);
    this.roll.select(this.roll.selected);
    for (const kind of ["zip", "midi", "preset"]) $(kind).href = `/api/matches/${version.match}/files/${kind}`;
    if (plays) {
      this.place(plays.audio, plays.heard, 0);
      this.renew("predict");
    } else {
      this.renew("predict", "play");
    }
    this.keep();
  }

  morph(final) {
    const other = this.versions[Number($("morph-to").value)];
    if (!other) return;
    const share = Number($("morph").value);
    const patch = {};
    for (const control of this.version.controls) {
      if (control.scope === "patch") {
        const [from, to] = [this.version.score.patch[control.name], other.score.patch[control.name]];
        patch[control.name] = between(control, from, to, share);
      }
    }
    this.change({ ...this.score, patch }, final);
  }

  // Shaping

  // The score has changed; `final` once a gesture has ended.
  change(score, final) {
    this.score = score;
    this.roll.show(score.notes, this.version.transposition);
    this.renew("predict", "play");
    if (final) {
      this.history.keep(score);
      this.keep();
      this.showControls();
    }
  }

  restore(score) {
    if (!score) return;
    this.score = score;
    this.roll.show(score.notes, this.version.transposition);
    this.showControls();
    this.renew("predict", "play");
    this.keep();
  }

  // The server writes files of the score that it was told last.
  keep() {
    put(`/api/matches/${this.version.match}/score`, this.score).catch(this.tell);
  }

  renew(...kinds) {
    const near = this.player.loop ? this.player.loop[0] : this.player.position;
    const score = structuredClone(this.score);
    const [predict, play] = this.live;
    this.asked = { predict: performance.now(), play: performance.now(), ...this.asked };
    if (kinds.includes("predict") && this.version.predicts) {
      this.asked.predict = performance.now();
      predict.renew(score, near);
    }
    if (kinds.includes("play")) {
      this.asked.play = performance.now();
      play.renew(score, near);
    }
  }

  receive(kind, answer, [start]) {
    const frame = Math.round(start / FRAME_S);
    if (kind === "predict") {
      const heard = answer.heard.subarray(0, this.belief.length - frame * CHANNELS);
      this.belief.set(heard, frame * CHANNELS);
      this.shown.belief.show(this.belief);
    } else {
      this.place(answer.audio, answer.heard, start);
    }
    const took = Math.round(performance.now() - this.asked[kind]);
    $(`${kind}-time`).textContent = `${took} ms`;
    this.draw();
  }

  // Puts a part of the plant's sound and spectrogram in its place.
  place(audio, heard, start) {
    const [sample, frame] = [Math.round(start * RATE_HZ), Math.round(start / FRAME_S)];
    const whole = this.plays.audio.slice();
    whole.set(audio.subarray(0, whole.length - sample), sample);
    this.plays.audio = whole;
    this.plays.heard.set(heard.subarray(0, this.plays.heard.length - frame * CHANNELS), frame * CHANNELS);
    this.player.set("b", whole, RATE_HZ);
    this.shown.heard.show(this.plays.heard);
    this.shown.difference.show(this.plays.heard, this.target);
    this.showTransport();
  }

  showControls() {
    const patch = this.version.controls.filter((one) => one.scope === "patch");
    const focused = document.activeElement?.id;
    const rows = patch.map((control) => {
      const changed = (value, final) => {
        this.change({ ...this.score, patch: { ...this.score.patch, [control.name]: value } }, final);
      };
      return row(control, this.score.patch[control.name], changed, this.locked).element;
    });
    $("patch-controls").replaceChildren(...rows);
    this.showNote();
    if (focused && focused !== document.activeElement?.id) $(focused)?.focus({ preventScroll: true });
  }

  showNote() {
    const place = $("note-controls");
    const number = this.roll.selected;
    const note = this.score?.notes[number];
    if (!note) {
      place.replaceChildren(Object.assign(document.createElement("p"), {
        className: "quiet", textContent: "Select a note to shape it.",
      }));
      return;
    }
    const sets = (name) => (value, final) => {
      const notes = structuredClone(this.score.notes);
      if (name in note.controls) notes[number].controls[name] = value;
      else notes[number][name] = value;
      if (notes[number].offset_s - notes[number].onset_s < 0.02) {
        if (name === "onset_s") notes[number].onset_s = notes[number].offset_s - 0.02;
        else notes[number].offset_s = notes[number].onset_s + 0.02;
      }
      this.change({ ...this.score, notes }, final);
    };
    const times = { unit: "s", low: 0, high: view.duration };
    const pitch = { name: "pitch", unit: "MIDI", low: 21, high: 108, kind: "integer" };
    const rows = [
      row(pitch, note.pitch_midi, sets("pitch_midi")),
      row({ name: "start", ...times }, note.onset_s, sets("onset_s")),
      row({ name: "end", ...times }, note.offset_s, sets("offset_s")),
    ];
    for (const control of this.version.controls) {
      if (control.name in note.controls && control.scope !== "patch") {
        rows.push(row(control, note.controls[control.name], sets(control.name)));
      }
    }
    const head = document.createElement("p");
    head.className = "quiet";
    const sure = note.confidence === null ? "" : `, ${Math.round(100 * note.confidence)} % sure`;
    const name = noteName(note.pitch_midi + this.version.transposition);
    head.textContent = `${name}, note ${number + 1} of ${this.score.notes.length}${sure}`;
    head.setAttribute("role", "status");
    place.replaceChildren(head, ...rows.map((one) => one.element));
  }

  // The time that is shown

  // Ctrl or Alt and the wheel zoom, Shift and the wheel move; the wheel alone scrolls the page.
  wheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!sideways && !event.ctrlKey && !event.altKey) return;
    event.preventDefault();
    const { left, width } = $("roll").getBoundingClientRect();
    const seconds = view.end - view.start;
    if (sideways) {
      this.look(view.start + ((event.deltaX || event.deltaY) / width) * seconds, seconds);
    } else {
      const at = view.start + ((event.clientX - left) / width) * seconds;
      this.zoom(1.2 ** Math.sign(event.deltaY), at);
    }
  }

  zoom(factor, at = (view.start + view.end) / 2) {
    const seconds = Math.min(Math.max((view.end - view.start) * factor, 0.25), view.duration);
    this.look(at - ((at - view.start) * seconds) / (view.end - view.start), seconds);
  }

  look(start, seconds) {
    view.start = Math.min(Math.max(start, 0), view.duration - seconds);
    view.end = view.start + seconds;
    this.draw();
  }

  // Listening

  setRegion(region) {
    this.roll.region = region;
    this.roll.draw();
    this.player.setLoop(region);
    if (region) this.player.seek(region[0]);
  }

  showTransport() {
    const { playing, heard } = this.player;
    $("play").textContent = playing ? "Pause" : "Play";
    $("hear-a").setAttribute("aria-pressed", heard === "a");
    $("hear-b").setAttribute("aria-pressed", heard === "b");
    $("whole").disabled = !this.player.loop;
    if (playing) this.tick();
    else this.drawTime();
  }

  tick() {
    if (this.ticking) return;
    this.ticking = true;
    const frame = () => {
      this.drawTime();
      if (this.player.playing) requestAnimationFrame(frame);
      else this.ticking = false;
    };
    requestAnimationFrame(frame);
  }

  drawTime() {
    const at = this.player.position;
    const seconds = view.end - view.start;
    if (this.player.playing && (at < view.start || at > view.end)) this.look(at, seconds);
    $("clock").textContent = `${at.toFixed(2)} of ${view.duration.toFixed(2)} s`;
    this.roll.draw();
    const canvas = $("roll");
    const context = canvas.getContext("2d");
    const { height } = canvas.getBoundingClientRect();
    context.fillStyle = "#fff";
    context.fillRect(this.roll.xOf(at) - 0.75, 0, 1.5, height);
  }

  draw() {
    for (const one of Object.values(this.shown)) one.draw();
    this.drawTime();
  }
}
