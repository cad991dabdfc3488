// The demo page: one window is one party. Wires the phone to the page; `?role=otomo&pair=...` is the other side.
import { Session } from './api.js';
import { Phone } from './phone.js';
import { Level } from './sound.js';
import { language, speak } from './texts.js';
import { $, draw, drawClock, drawEvent, drawLevel, label } from './view.js';

const LEVELS_TOLD_EVERY_MS = 1000; // to screen readers; the eye gets every frame

const asked = new URL(location.href).searchParams;
const role = asked.get('role') === 'otomo' ? 'otomo' : 'user';
const session = new Session(role, asked.get('pair') ?? '');
const phone = new Phone(session, { changed, told: drawEvent, heard });
const levels = {};

function changed(state) {
  draw(state);
  drawClock(state);
  listenTo('my', phone.track);
  if (!phone.media) listenTo('their', null);
}

function heard(track, receiver) {
  listenTo('their', track, receiver);
  $('speaker').srcObject = new MediaStream([track]);
  play();
}

// Browsers play nothing before a click; a page that was reloaded within a call may have had none.
function play() {
  $('speaker')
    .play()
    .then(
      () => phone.set({ blocked: false }),
      () => phone.set({ blocked: true }),
    );
}

function listenTo(side, track, receiver) {
  if (levels[side]?.track === track) return;
  levels[side]?.level.close();
  delete levels[side];
  if (track) levels[side] = { track, level: new Level(track, receiver) };
}

let toldAt = 0;
let loudest = {}; // since it was last told, so that short sounds are told, too
function everyFrame(now) {
  const told = now - toldAt > LEVELS_TOLD_EVERY_MS;
  const silent = { my: phone.state.muted, their: phone.state.theirMuted };
  for (const side of ['my', 'their']) {
    const level = silent[side] ? 0 : (levels[side]?.level.now() ?? 0);
    loudest[side] = Math.max(level, loudest[side] ?? 0);
    drawLevel(side, level, told ? loudest[side] : null);
  }
  if (told) {
    loudest = {};
    toldAt = now;
  }
  drawClock(phone.state);
  requestAnimationFrame(everyFrame);
}

function choose(chosen) {
  speak(chosen);
  label();
  draw(phone.state);
}

async function start() {
  choose(language);
  requestAnimationFrame(everyFrame);
  try {
    await phone.start();
  } catch (error) {
    phone.set({ phase: 'failed', problem: error.status === 404 ? { code: 'OFF' } : error });
    return;
  }
  const { pair } = session;
  history.replaceState(null, '', `?${new URLSearchParams({ role, pair })}`); // a reload is the same party
  $('open-other').href = `?${new URLSearchParams({ role: role === 'user' ? 'otomo' : 'user', pair })}`;
}

const clicks = {
  call: () => phone.call(),
  accept: () => phone.accept(),
  reject: () => phone.hangUp(),
  retry: () => phone.tryAgain(),
  'use-tone': () => phone.useTone(),
  rejoin: () => phone.rejoin(),
  unblock: async () => play(),
  mute: () => phone.mute(),
  'hang-up': () => phone.hangUp(),
};
for (const [id, does] of Object.entries(clicks)) $(id).addEventListener('click', () => phone.act(does));
document
  .querySelectorAll('[data-language]')
  .forEach((one) => one.addEventListener('click', () => choose(one.dataset.language)));
start();
