// The views of a saved match, in its report: the sounds, in sync, and the spectrograms.

import { Player } from "./player.js";
import { Roll } from "./roll.js";
import { Spectrogram } from "./spectrogram.js";

const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const data = JSON.parse($("data").textContent);
const view = { start: 0, end: data.duration_s, duration: data.duration_s, channels: [0, data.channels] };
const player = new Player();
const [target, heard] = [bytes(data.target), bytes(data.heard)];
const shown = {
  target: [target],
  heard: [heard],
  difference: [heard, target],
};
const spectrograms = Object.entries(shown).map(([name, sounds]) => {
  const one = new Spectrogram($(`view-${name}`), view);
  one.show(...sounds);
  return one;
});
const roll = new Roll($("view-notes"), view, false);
roll.show(data.notes, data.transposition);

// Decodes the sounds, when they are to be heard first.
async function load() {
  const context = new OfflineAudioContext(1, 1, data.sample_rate_hz);
  for (const [name, id] of [["a", "sound-target"], ["b", "sound-match"]]) {
    const wav = bytes($(id).src.split(",")[1]);
    const buffer = await context.decodeAudioData(wav.buffer);
    player.set(name, buffer.getChannelData(0), buffer.sampleRate);
  }
}

let loading = null;
const ready = () => (loading ||= load());

function draw() {
  spectrograms.forEach((one) => one.draw());
  roll.draw();
  const context = $("view-notes").getContext("2d");
  const { height } = $("view-notes").getBoundingClientRect();
  context.fillStyle = "#fff";
  context.fillRect(roll.xOf(player.position) - 0.75, 0, 1.5, height);
}

function frame() {
  draw();
  if (player.playing) requestAnimationFrame(frame);
}

player.addEventListener("change", () => {
  $("play").textContent = player.playing ? "Pause" : "Play";
  $("hear-a").setAttribute("aria-pressed", player.heard === "a");
  $("hear-b").setAttribute("aria-pressed", player.heard === "b");
  $("whole").disabled = !player.loop;
  frame();
});

const loopOver = (region) => {
  roll.region = region;
  player.setLoop(region);
  if (region) player.seek(region[0]);
};
$("play").addEventListener("click", () => ready().then(() => player.toggle()));
$("hear-a").addEventListener("click", () => player.hear("a"));
$("hear-b").addEventListener("click", () => player.hear("b"));
$("whole").addEventListener("click", () => loopOver(null));
roll.addEventListener("region", ({ detail }) => ready().then(() => loopOver(detail)));
roll.addEventListener("seek", ({ detail }) => ready().then(() => player.seek(detail)));
document.addEventListener("keydown", (event) => {
  if (event.target.closest("button, a, audio, summary, input")) return;
  if (event.key === " ") ready().then(() => player.toggle());
  else if (event.key === "a" || event.key === "b") player.hear(event.key);
  else return;
  event.preventDefault();
});
new ResizeObserver(draw).observe($("view-notes"));
