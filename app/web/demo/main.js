// The demo page: one window is one party. Wires the phone to the page; `?role=otomo&pair=...` is the other side.
import { Session } from './session.js';
import { Phone } from './phone.js';
import { Needle } from './sound.js';
import { language, speak } from './texts.js';
import { $, draw, drawClock, drawEvent, drawLevel, label } from './view.js';

const LEVELS_TOLD_EVERY_MS = 1000; // to screen readers; the eye gets every frame

const asked = new URL(location.href).searchParams;
const role = asked.get('role') === 'otomo' ? 'otomo' : 'user';
const session = new Session(role, asked.get('pair') ?? '');
const phone = new Phone(session, { changed, told: drawEvent });
const needles = { my: new Needle(), their: new Needle() };

function changed(state) {
  draw(state);
  drawClock(state);
}

let toldAt = 0;
let loudest = {}; // since it was last told, so that short sounds are told, too
function everyFrame(now) {
  const told = now - toldAt > LEVELS_TOLD_EVERY_MS;
  const levels = { my: phone.call?.level ?? 0, their: phone.call?.remoteLevel ?? 0 };
  for (const side of ['my', 'their']) {
    const level = needles[side].at(levels[side]);
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
  call: () => phone.ask(),
  accept: () => phone.accept(),
  reject: () => phone.hangUp(),
  retry: () => phone.tryAgain(),
  'use-tone': () => phone.useTone(),
  rejoin: () => phone.rejoin(),
  unblock: () => phone.hear(),
  mute: () => phone.mute(),
  away: () => phone.setAway(),
  'hang-up': () => phone.hangUp(),
};
for (const [id, does] of Object.entries(clicks)) $(id).addEventListener('click', () => phone.act(does));
document
  .querySelectorAll('[data-language]')
  .forEach((one) => one.addEventListener('click', () => choose(one.dataset.language)));
start();
