// Plays sounds in sync, of which one is heard: A/B listening without a gap or a click.
//
// All are Web Audio sources that start at the same time and loop over the same region. Switching
// cross-fades their gains; so does replacing a sound while it plays. All are as loud as the first
// one (RMS).

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
    this.sounds = {}; // by name: {samples, rate}
    this.heard = "a";
    this.gains = {};
    this.nodes = {};
    this.loop = null; // [start, end] in s; null: the whole
    this.playing = false;
    this.volume = 1;
    this.at = 0; // where it starts, in s, while it does not play
  }

  get duration() {
    const lengths = Object.values(this.sounds).map(({ samples, rate }) => samples.length / rate);
    return Math.max(0, ...lengths);
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

  // Adds a sound, or replaces it: while it plays, at the same place.
  set(name, samples, rate) {
    this.sounds[name] = { samples, rate, rms: rms(samples), peak: peak(samples) };
    this.level();
    if (this.playing) this.restart(name);
  }

  clear() {
    this.pause();
    this.sounds = {};
    this.loop = null;
    this.at = 0;
  }

  level() {
    const [first] = Object.values(this.sounds);
    const louder = (sound) => (sound.rms && first.rms ? first.rms / sound.rms : 1);
    const peaks = Object.values(this.sounds).map((sound) => louder(sound) * sound.peak);
    const gain = Math.min(1, HIGHEST_PEAK / Math.max(...peaks, HIGHEST_PEAK));
    for (const [name, sound] of Object.entries(this.sounds)) this.gains[name] = gain * louder(sound);
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
    for (const name of Object.keys(this.sounds)) this.begin(name, this.began, this.from);
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
    for (const [name, node] of Object.entries(this.nodes)) this.aim(node, this.target(name));
    this.dispatchEvent(new Event("change"));
  }

  setVolume(volume) {
    this.volume = volume;
    this.hear(this.heard);
  }

  target(which) {
    return which === this.heard ? this.volume * this.gains[which] : 0;
  }

  // The buffer of a sound, as long as the longest, so that all loop alike. Before the end of the
  // loop it fades into what comes before its start, so that the joint is not heard.
  buffer({ samples, rate }) {
    const whole = Math.max(Math.round(this.duration * rate), 1);
    const buffer = this.context.createBuffer(1, whole, rate);
    buffer.copyToChannel(samples.subarray(0, whole), 0);
    const data = buffer.getChannelData(0);
    const [start, end] = this.region().map((time) => Math.round(time * rate));
    const fading = Math.min(Math.round(FADE_S * rate), end - start);
    for (let n = 0; n < fading; n++) {
      const share = (n + 1) / fading;
      const before = start - fading + n;
      const [from, to] = [data[end - fading + n] || 0, before < 0 ? 0 : samples[before] || 0];
      data[end - fading + n] = from * (1 - share) + to * share;
    }
    return buffer;
  }

  begin(which, when, place) {
    const sound = this.sounds[which];
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
    this.aim(this.nodes[which], this.target(which), when);
  }

  restart(which) {
    const old = this.nodes[which];
    const when = this.context.currentTime + 0.01;
    const [start, end] = this.region();
    let place = this.from + (when - this.began);
    if (place >= end) place = start + ((place - start) % Math.max(end - start, 0.01));
    this.begin(which, Math.max(when, this.began), place);
    if (old) this.fade(old, when);
    for (const [name, node] of Object.entries(this.nodes)) {
      if (name !== which) this.aim(node, this.target(name)); // the common gain may be another now
    }
  }

  // Fades to a gain from a time on.
  aim({ gain }, value, when = this.context.currentTime) {
    gain.gain.cancelScheduledValues(when);
    gain.gain.setValueAtTime(gain.gain.value, when);
    gain.gain.linearRampToValueAtTime(value, when + FADE_S);
  }

  fade(node, when = this.context.currentTime) {
    this.aim(node, 0, when);
    node.source.stop(when + 2 * FADE_S);
  }
}
