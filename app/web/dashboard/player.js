// Plays a call's recordings: all files at once, since all begin at the same moment; the user left, the otomo right.
import { h, set, show, write } from './dom.js';
import { duration } from './format.js';

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];
const APART_S = 0.08; // further apart than this the others are put to where the first one is
const STEP_S = 5;
const JUMP_S = 10;
const PAN = { user: -1, otomo: 1 };
const BARS = 600; // of a waveform
const DRAWN_UP_TO_S = 3600; // what is longer takes too much memory to be drawn
const DRAWN_HZ = 8000;
const SOUND_WITHIN_MS = 1000;

export class Player {
  constructor() {
    this.sounds = [];
    this.toggle = h('button', { class: 'button', type: 'button', click: () => this.playOrPause() }, 'Play');
    this.at = h('input', { type: 'range', min: '0', value: '0', step: '0.1', 'aria-label': 'Position', input: () => this.seek(Number(this.at.value)) });
    this.time = h('span', { class: 'number' });
    this.speed = h(
      'select',
      { 'aria-label': 'Speed', change: () => this.setSpeed(Number(this.speed.value)) },
      SPEEDS.map((speed) => h('option', { value: String(speed), selected: speed === 1 }, `${speed} ×`)),
    );
    this.waves = Object.fromEntries(
      Object.keys(PAN).map((role) => {
        const name = h('span', { class: 'muted small' });
        const canvas = h('canvas', { width: String(BARS), height: '48', 'aria-hidden': 'true', click: (event) => this.point(event) });
        return [role, { name, canvas, element: h('div', { class: 'wave' }, name, canvas) }];
      }),
    );
    const jump = (seconds, text) => h('button', { class: 'button small', type: 'button', click: () => this.jump(seconds) }, text);
    this.element = h(
      'div',
      { class: 'player', role: 'group', tabindex: '0', 'aria-label': 'Player: space plays, arrows jump, < and > change the speed', hidden: true },
      Object.values(this.waves).map(({ element }) => element),
      this.at,
      h('div', { class: 'buttons' }, this.toggle, jump(-JUMP_S, `− ${JUMP_S} s`), jump(JUMP_S, `+ ${JUMP_S} s`), this.speed, this.time),
    );
    this.element.addEventListener('keydown', (event) => this.key(event));
  }

  // `files`: `{role, name, blob}`; as long as `seconds`.
  load(files, seconds) {
    this.close();
    this.seconds = seconds;
    this.sounds = files.map(({ role, blob }) => {
      const audio = new Audio(URL.createObjectURL(blob));
      audio.preservesPitch = true;
      return { role, audio };
    });
    const [first] = this.sounds;
    for (const event of ['timeupdate', 'seeked']) first.audio.addEventListener(event, () => this.follow());
    for (const event of ['play', 'pause', 'ended']) first.audio.addEventListener(event, () => this.drawState());
    set(this.at, 'max', String(seconds));
    for (const [role, { name, canvas }] of Object.entries(this.waves)) {
      write(name, files.find((file) => file.role === role)?.name ?? '');
      canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
    }
    show(this.element, true);
    this.follow();
    this.drawState();
    return this.drawWaves(files);
  }

  close() {
    for (const { audio } of this.sounds) {
      audio.pause();
      URL.revokeObjectURL(audio.src);
      audio.removeAttribute('src');
    }
    this.sounds = [];
    this.context?.close();
    this.context = null;
    show(this.element, false);
  }

  get first() {
    return this.sounds[0]?.audio;
  }

  async playOrPause() {
    if (!this.first.paused) {
      for (const { audio } of this.sounds) audio.pause();
      return;
    }
    await this.connect();
    if (this.first.currentTime >= this.seconds - 0.1) this.seek(0);
    await Promise.all(this.sounds.map(({ audio }) => audio.play()));
  }

  // Browsers allow sound once somebody has pressed something. Where there is no engine for it, both are played in the middle.
  async connect() {
    if (this.context) return;
    const context = new AudioContext();
    await Promise.race([context.resume(), new Promise((done) => setTimeout(done, SOUND_WITHIN_MS))]);
    if (context.state !== 'running') {
      context.close();
      return;
    }
    this.context = context;
    for (const { role, audio } of this.sounds) {
      const pan = new StereoPannerNode(this.context, { pan: PAN[role] });
      this.context.createMediaElementSource(audio).connect(pan).connect(this.context.destination);
    }
  }

  seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.seconds);
    for (const { audio } of this.sounds) audio.currentTime = to;
    this.follow();
  }

  jump(seconds) {
    this.seek(this.first.currentTime + seconds);
  }

  point({ offsetX, target }) {
    this.seek((offsetX / target.clientWidth) * this.seconds);
  }

  setSpeed(speed) {
    this.speed.value = String(speed);
    for (const { audio } of this.sounds) audio.playbackRate = speed;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const ofControl = event.target !== this.element; // a button has its own space, a slider its own arrows
    const steps = { ArrowLeft: -STEP_S, ArrowRight: STEP_S, j: -JUMP_S, l: JUMP_S };
    const faster = { '<': -1, '>': 1 }[event.key];
    if (event.key in steps && !(ofControl && event.key.startsWith('Arrow'))) this.jump(steps[event.key]);
    else if (event.key === 'k' || (event.key === ' ' && !ofControl)) this.playOrPause();
    else if (event.key === 'Home' && !ofControl) this.seek(0);
    else if (event.key === 'End' && !ofControl) this.seek(this.seconds);
    else if (faster) this.setSpeed(SPEEDS[Math.min(Math.max(0, SPEEDS.indexOf(Number(this.speed.value)) + faster), SPEEDS.length - 1)]);
    else return;
    event.preventDefault();
  }

  follow() {
    const { currentTime, paused } = this.first;
    for (const { audio } of this.sounds.slice(1)) if (!paused && Math.abs(audio.currentTime - currentTime) > APART_S) audio.currentTime = currentTime;
    this.at.value = String(currentTime);
    set(this.at, 'aria-valuetext', duration(currentTime));
    write(this.time, `${duration(currentTime)} of ${duration(this.seconds)}`);
  }

  drawState() {
    write(this.toggle, this.first.paused ? 'Play' : 'Pause');
  }

  // One file after the other, and at a low rate: sound takes much more memory than its file.
  async drawWaves(files) {
    if (this.seconds > DRAWN_UP_TO_S) return;
    const { sounds } = this;
    const peaks = { user: new Float32Array(BARS), otomo: new Float32Array(BARS) };
    for (const { role, blob } of files) {
      const offline = new OfflineAudioContext(1, 1, DRAWN_HZ);
      const decoded = await offline.decodeAudioData(await blob.arrayBuffer()).catch(() => null);
      if (this.sounds !== sounds) return; // another call's by now
      const samples = decoded?.getChannelData(0) ?? [];
      const of = Math.max(1, Math.ceil((this.seconds * DRAWN_HZ) / BARS));
      for (let at = 0; at < samples.length; at++) {
        const bar = Math.min(BARS - 1, Math.floor(at / of));
        peaks[role][bar] = Math.max(peaks[role][bar], Math.abs(samples[at]));
      }
      drawWave(this.waves[role].canvas, peaks[role]);
    }
    set(this.element, 'data-drawn', 'yes');
  }
}

function drawWave(canvas, peaks) {
  const context = canvas.getContext('2d');
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  context.fillStyle = getComputedStyle(canvas).color;
  peaks.forEach((peak, bar) => {
    const tall = Math.max(1, Math.sqrt(peak) * height);
    context.fillRect((bar * width) / BARS, (height - tall) / 2, width / BARS, tall);
  });
}
