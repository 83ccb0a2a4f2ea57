// Plays two sounds in sync, of which one is heard: A/B listening without a gap or a click.
//
// Both are Web Audio sources that start at the same time and loop over the same region. Switching
// cross-fades their gains; so does replacing a sound while it plays. B is as loud as A (RMS).

const FADE_S = 0.012;
const HIGHEST_PEAK = 0.99;

const rms = (samples) => {
  let sum = 0;
  for (const value of samples) sum += value * value;
  return Math.sqrt(sum / Math.max(samples.length, 1));
};

const peak = (samples) => {
  let most = 0;
  for (const value of samples) most = Math.max(most, Math.abs(value));
  return most;
};

export class Player extends EventTarget {
  constructor() {
    super();
    this.sounds = { a: null, b: null }; // {samples, rate}
    this.heard = "a";
    this.loop = null; // [start, end] in s; null: the whole
    this.playing = false;
    this.volume = 1;
    this.at = 0; // where it starts, in s, while it does not play
  }

  get duration() {
    const longest = (sound) => (sound ? sound.samples.length / sound.rate : 0);
    return Math.max(longest(this.sounds.a), longest(this.sounds.b));
  }

  // The position in s.
  get position() {
    if (!this.playing) return this.at;
    const passed = this.context.currentTime - this.began;
    const [start, end] = this.region();
    const place = this.from + Math.max(passed, 0);
    if (place < end) return place;
    return start + ((place - start) % Math.max(end - start, 0.01));
  }

  region() {
    return this.loop || [0, this.duration || 0.01];
  }

  // Replaces a sound: while it plays, at the same place.
  set(which, samples, rate) {
    this.sounds[which] = samples ? { samples, rate } : null;
    this.level();
    if (this.playing) this.restart(which);
  }

  level() {
    const { a, b } = this.sounds;
    const loud = { a: a ? rms(a.samples) : 0, b: b ? rms(b.samples) : 0 };
    const louder = loud.a && loud.b ? loud.a / loud.b : 1;
    const highest = Math.max(a ? peak(a.samples) : 0, louder * (b ? peak(b.samples) : 0));
    const gain = highest > HIGHEST_PEAK ? HIGHEST_PEAK / highest : 1;
    this.gains = { a: gain, b: gain * louder };
  }

  play() {
    if (this.playing || !this.duration) return;
    this.context ||= new AudioContext();
    this.context.resume();
    const [start, end] = this.region();
    if (this.at < start || this.at >= end - 0.01) this.at = start;
    this.began = this.context.currentTime + 0.02;
    this.from = this.at;
    this.playing = true;
    this.nodes = {};
    for (const which of ["a", "b"]) this.begin(which, this.began, this.from);
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    if (!this.playing) return;
    this.at = this.position;
    this.playing = false;
    for (const node of Object.values(this.nodes)) this.fade(node);
    this.nodes = {};
    this.dispatchEvent(new Event("change"));
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  seek(place) {
    const playing = this.playing;
    if (playing) this.pause();
    this.at = Math.min(Math.max(place, 0), this.duration);
    if (playing) this.play();
  }

  setLoop(region) {
    const playing = this.playing;
    if (playing) this.pause();
    this.loop = region;
    if (playing) this.play();
    this.dispatchEvent(new Event("change"));
  }

  hear(which) {
    this.heard = which;
    for (const [name, node] of Object.entries(this.nodes || {})) this.aim(node, this.target(name));
    this.dispatchEvent(new Event("change"));
  }

  setVolume(volume) {
    this.volume = volume;
    this.hear(this.heard);
  }

  target(which) {
    return which === this.heard ? this.volume * this.gains[which] : 0;
  }

  // The buffer of a sound, as long as the longer of the two, so that both loop alike.
  buffer({ samples, rate }) {
    const whole = Math.max(Math.round(this.duration * rate), 1);
    const buffer = this.context.createBuffer(1, whole, rate);
    buffer.copyToChannel(samples.subarray(0, whole), 0);
    return buffer;
  }

  begin(which, when, place) {
    const sound = this.sounds[which];
    if (!sound) return;
    const source = this.context.createBufferSource();
    const gain = this.context.createGain();
    const [start, end] = this.region();
    source.buffer = this.buffer(sound);
    source.loop = true;
    source.loopStart = start;
    source.loopEnd = end;
    gain.gain.value = 0;
    source.connect(gain).connect(this.context.destination);
    source.start(when, place);
    this.nodes[which] = { source, gain };
    this.aim(this.nodes[which], this.target(which));
  }

  restart(which) {
    const old = this.nodes[which];
    const when = this.context.currentTime + 0.01;
    const [start, end] = this.region();
    let place = this.from + (when - this.began);
    if (place >= end) place = start + ((place - start) % Math.max(end - start, 0.01));
    this.begin(which, Math.max(when, this.began), place);
    if (old) this.fade(old);
    for (const [name, node] of Object.entries(this.nodes)) this.aim(node, this.target(name));
  }

  aim({ gain }, value) {
    const now = this.context.currentTime;
    gain.gain.cancelScheduledValues(now);
    gain.gain.setValueAtTime(gain.gain.value, now);
    gain.gain.linearRampToValueAtTime(value, now + FADE_S);
  }

  fade(node) {
    this.aim(node, 0);
    node.source.stop(this.context.currentTime + 2 * FADE_S);
  }
}
