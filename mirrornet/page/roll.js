// The notes over the target's spectrogram, where they can be selected, moved, stretched, added and
// deleted. The frequency axis is logarithmic, so a semitone is everywhere two channels high.

import { channelOf, fitted, pitchOf } from "./spectrogram.js";

const GRAB_PX = 7; // around a note, and at its ends
const LOWEST_MIDI = 21;
const HIGHEST_MIDI = 108;
const SHORTEST_S = 0.02;
const ADDED_S = 0.25;
const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

export const noteName = (midi) => `${NAMES[midi % 12]}${Math.floor(midi / 12) - 1}`;
const within = (value, low, high) => Math.min(Math.max(value, low), high);

// Fires `select`, `edit` (while a note is moved), `edited` (at the end), `region` and `seek`; only
// the last two if notes are not `editable`.
export class Roll extends EventTarget {
  constructor(canvas, view, editable = true) {
    super();
    this.canvas = canvas;
    this.editable = editable;
    this.view = view;
    this.notes = [];
    this.selected = -1;
    this.transposition = 0;
    this.region = null;
    this.found = []; // notes that were found by a match in progress
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    if (!editable) return;
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("dblclick", (event) => this.addAt(event));
  }

  fire(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  show(notes, transposition = 0) {
    this.notes = notes;
    this.transposition = transposition;
    if (this.selected >= notes.length) this.selected = notes.length - 1;
    this.draw();
  }

  select(number) {
    this.selected = number;
    this.draw();
    this.fire("select", number);
  }

  box() {
    return this.canvas.getBoundingClientRect();
  }

  xOf(time) {
    const { start, end } = this.view;
    return ((time - start) / (end - start)) * this.box().width;
  }

  timeOf(x) {
    const { start, end } = this.view;
    return start + (x / this.box().width) * (end - start);
  }

  yOf(midi) {
    const [low, high] = this.view.channels;
    return (1 - (channelOf(midi) + 0.5 - low) / (high - low)) * this.box().height;
  }

  pitchAt(y) {
    const [low, high] = this.view.channels;
    return pitchOf(low + (1 - y / this.box().height) * (high - low) - 0.5);
  }

  place(note) {
    const y = this.yOf(note.pitch_midi + this.transposition);
    return { left: this.xOf(note.onset_s), right: this.xOf(note.offset_s), y };
  }

  // The note at a point, and which part of it: its `start`, `end` or `body`.
  hit(x, y) {
    let best = null;
    this.notes.forEach((note, number) => {
      const { left, right, y: middle } = this.place(note);
      const far = Math.abs(y - middle);
      if (far > GRAB_PX || x < left - GRAB_PX || x > right + GRAB_PX) return;
      if (best && best.far <= far) return;
      const wide = Math.min(GRAB_PX, (right - left) / 3);
      const part = x < left + wide ? "start" : x > right - wide ? "end" : "body";
      best = { number, part, far };
    });
    return best;
  }

  point(event) {
    const box = this.box();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  hover(event) {
    if (event.buttons) return;
    const found = this.hit(...this.point(event));
    this.canvas.style.cursor = !found ? "crosshair" : found.part === "body" ? "grab" : "ew-resize";
  }

  press(event) {
    if (event.button) return;
    const [x, y] = this.point(event);
    const found = this.editable ? this.hit(x, y) : null;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const move = found ? this.dragNote(found, x, y) : this.dragRegion(x);
    const moved = (next) => move.moved(...this.point(next));
    const up = (next) => {
      this.canvas.removeEventListener("pointermove", moved);
      this.canvas.removeEventListener("pointerup", up);
      this.canvas.removeEventListener("pointercancel", up);
      move.ended(...this.point(next));
    };
    this.canvas.addEventListener("pointermove", moved);
    this.canvas.addEventListener("pointerup", up);
    this.canvas.addEventListener("pointercancel", up);
  }

  dragNote({ number, part }, x, y) {
    this.select(number);
    const note = this.notes[number];
    const before = { ...note };
    let changed = false;
    return {
      moved: (toX, toY) => {
        const time = this.timeOf(toX) - this.timeOf(x);
        const length = before.offset_s - before.onset_s;
        if (Math.abs(toX - x) < 3 && Math.abs(toY - y) < 3 && !changed) return;
        changed = true;
        if (part === "start") {
          note.onset_s = within(before.onset_s + time, 0, before.offset_s - SHORTEST_S);
        } else if (part === "end") {
          note.offset_s = within(before.offset_s + time, before.onset_s + SHORTEST_S, this.view.duration);
        } else {
          note.onset_s = within(before.onset_s + time, 0, this.view.duration - length);
          note.offset_s = note.onset_s + length;
          const semitones = Math.round(this.pitchAt(toY) - this.pitchAt(y));
          note.pitch_midi = within(before.pitch_midi + semitones, LOWEST_MIDI, HIGHEST_MIDI);
        }
        this.draw();
        this.fire("edit", number);
      },
      ended: () => changed && this.fire("edited", number),
    };
  }

  dragRegion(x) {
    let region = null;
    return {
      moved: (toX) => {
        if (Math.abs(toX - x) < 4) return;
        const times = [this.timeOf(x), this.timeOf(toX)].sort((a, b) => a - b);
        region = times.map((time) => within(time, 0, this.view.duration));
        this.region = region;
        this.draw();
      },
      ended: () => {
        if (region && region[1] - region[0] > 0.05) return this.fire("region", region);
        this.select(-1);
        this.fire("seek", within(this.timeOf(x), 0, this.view.duration));
      },
    };
  }

  addAt(event) {
    const [x, y] = this.point(event);
    if (!this.hit(x, y)) this.add(this.timeOf(x), Math.round(this.pitchAt(y)) - this.transposition);
  }

  // Adds a note with the controls of the nearest one.
  add(time, pitch) {
    if (!this.notes.length) return;
    const nearest = this.notes.reduce((best, note) =>
      Math.abs(note.onset_s - time) < Math.abs(best.onset_s - time) ? note : best,
    );
    const onset = within(time, 0, Math.max(this.view.duration - SHORTEST_S, 0));
    const note = {
      ...structuredClone(nearest),
      pitch_midi: within(pitch, LOWEST_MIDI, HIGHEST_MIDI),
      onset_s: onset,
      offset_s: Math.min(onset + ADDED_S, this.view.duration),
      confidence: null,
      glide: [],
    };
    this.notes.push(note);
    this.select(this.notes.length - 1);
    this.fire("edited", this.selected);
  }

  deleteSelected() {
    if (this.selected < 0 || this.notes.length < 2) return;
    this.notes.splice(this.selected, 1);
    this.select(Math.min(this.selected, this.notes.length - 1));
    this.fire("edited", this.selected);
  }

  // Selects the next note in time, or the one before.
  step(way) {
    const order = this.notes.map((_, n) => n).sort((a, b) => this.notes[a].onset_s - this.notes[b].onset_s);
    if (!order.length) return;
    const at = order.indexOf(this.selected);
    this.select(order[at < 0 ? 0 : within(at + way, 0, order.length - 1)]);
  }

  nudge({ pitch = 0, time = 0, length = 0 }) {
    const note = this.notes[this.selected];
    if (!note) return;
    const long = note.offset_s - note.onset_s;
    note.pitch_midi = within(note.pitch_midi + pitch, LOWEST_MIDI, HIGHEST_MIDI);
    note.onset_s = within(note.onset_s + time, 0, this.view.duration - SHORTEST_S);
    note.offset_s = note.onset_s + Math.max(long + length, SHORTEST_S);
    this.draw();
    this.fire("edited", this.selected);
  }

  draw() {
    const context = fitted(this.canvas);
    const { width, height } = this.box();
    context.clearRect(0, 0, width, height);
    if (this.region) {
      const [left, right] = this.region.map((time) => this.xOf(time));
      context.fillStyle = "rgba(255, 255, 255, 0.14)";
      context.fillRect(left, 0, right - left, height);
      context.fillStyle = "#fff";
      for (const x of [left, right]) context.fillRect(x - 0.5, 0, 1, height);
    }
    const semitone = Math.max(this.yOf(60) - this.yOf(61), 4);
    const draw = (note, number, colour) => {
      const { left, right, y } = this.place(note);
      const chosen = number === this.selected;
      context.globalAlpha = 0.92;
      context.fillStyle = chosen ? "#ffffff" : colour;
      context.strokeStyle = "rgba(0, 0, 0, 0.75)";
      context.lineWidth = 1.5;
      context.beginPath();
      context.roundRect(left, y - semitone / 2 - 1, Math.max(right - left, 3), semitone + 2, 2.5);
      context.stroke();
      context.fill();
      if (note.glide?.length) {
        context.beginPath();
        for (const [time, semitones] of note.glide) {
          context.lineTo(this.xOf(note.onset_s + time), y - semitones * semitone);
        }
        context.strokeStyle = "#fff";
        context.stroke();
      }
      if (right - left > 22 || chosen) {
        context.globalAlpha = 1;
        context.font = "600 11px system-ui, sans-serif";
        context.fillStyle = "#fff";
        context.strokeStyle = "rgba(0, 0, 0, 0.8)";
        context.lineWidth = 3;
        const text = noteName(note.pitch_midi + this.transposition);
        context.strokeText(text, left + 1, y - semitone / 2 - 5);
        context.fillText(text, left + 1, y - semitone / 2 - 5);
      }
      context.globalAlpha = 1;
    };
    this.found.forEach((note) => draw(note, -2, "#9fd8ff"));
    this.notes.forEach((note, number) => draw(note, number, "#56b4e9"));
  }
}
