// Auditory spectrograms on canvases: a byte for each channel of a frame, the lowest channel first.
// A view has the time that is shown and the channels that there are, both as a start and an end.

import { MAGMA, RED_BLUE } from "./colours.js";

export const CHANNELS = 176;
export const FRAME_S = 0.008;
const A3_CHANNEL = 31; // 220 Hz; 24 channels to an octave
const A3_MIDI = 57;

// The channel, a fraction, at which a pitch lies.
export const channelOf = (midi) => A3_CHANNEL + 2 * (midi - A3_MIDI);
export const pitchOf = (channel) => A3_MIDI + (channel - A3_CHANNEL) / 2;
export const channelOfHz = (hz) => A3_CHANNEL + 24 * Math.log2(hz / 220);

// A picture of a spectrogram, or of the difference of two, one pixel for each point.
function picture(heard, other, channels) {
  const frames = Math.max(Math.floor(heard.length / channels), 1);
  const image = new ImageData(frames, channels);
  const map = other ? RED_BLUE : MAGMA;
  for (let frame = 0; frame < frames; frame++) {
    for (let channel = 0; channel < channels; channel++) {
      const from = frame * channels + channel;
      let value = heard[from] || 0;
      if (other) value = Math.min(Math.max(128 + (value - (other[from] || 0)), 0), 255);
      const to = 4 * ((channels - 1 - channel) * frames + frame);
      image.data[to] = map[3 * value];
      image.data[to + 1] = map[3 * value + 1];
      image.data[to + 2] = map[3 * value + 2];
      image.data[to + 3] = 255;
    }
  }
  return image;
}

const MARKS_HZ = [125, 250, 500, 1000, 2000, 4000, 8000];
const STEPS_S = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120];
const MARK_PX = 90;

// A spectrogram in a canvas, whose time axis is that of a view.
export class Spectrogram {
  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = view;
    this.whole = document.createElement("canvas");
    this.whole.width = 0;
  }

  show(heard, other = null) {
    const image = picture(heard, other, this.view.channels[1]);
    this.whole.width = image.width;
    this.whole.height = image.height;
    this.whole.getContext("2d").putImageData(image, 0, 0);
    this.draw();
  }

  clear() {
    this.whole.width = 0;
    this.draw();
  }

  draw() {
    const context = fitted(this.canvas);
    const { width, height } = this.canvas.getBoundingClientRect();
    context.fillStyle = "#000004";
    context.fillRect(0, 0, width, height);
    if (!this.whole.width) return;
    const { start, end } = this.view;
    const left = start / FRAME_S;
    const frames = (end - start) / FRAME_S;
    context.imageSmoothingEnabled = frames > width;
    context.drawImage(this.whole, left, 0, frames, this.whole.height, 0, 0, width, height);
    this.marks(context, width, height);
  }

  // Frequencies at the left, and times at the bottom.
  marks(context, width, height) {
    const [low, high] = this.view.channels;
    const { start, end } = this.view;
    context.font = "10px system-ui, sans-serif";
    context.fillStyle = "#fff";
    context.strokeStyle = "rgba(0, 0, 0, 0.7)";
    context.lineWidth = 2.5;
    const write = (text, x, y) => {
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    };
    for (const hz of height > 200 ? MARKS_HZ : [250, 1000, 4000]) {
      const y = (1 - (channelOfHz(hz) - low) / (high - low)) * height;
      write(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, 4, y + 3);
    }
    const step = STEPS_S.find((one) => one * width > MARK_PX * (end - start)) || 300;
    for (let time = Math.ceil(start / step) * step; time < end; time += step) {
      const x = ((time - start) / (end - start)) * width;
      if (x > 40 && x < width - 30) write(`${Number(time.toFixed(2))} s`, x, height - 4);
    }
  }
}

// The context of a canvas with as many pixels as the screen shows, in CSS pixels.
export function fitted(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return context;
}
