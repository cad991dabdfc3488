// The page's face: draws what the phone says, in the language that is chosen. Decides nothing.
import { clock, refusal, texts } from './texts.js';

const LOG_LINES = 200;
const ENDS_WITHIN_S = 2; // after its moment a call that ends by itself has ended
const HAPPENING = ['microphone', 'ringing', 'incoming', 'joining', 'talking', 'rejoin'];

let acting = false; // whether the focus is among the actions, whose buttons come and go under it

export const $ = (id) => document.getElementById(id);

export function label() {
  document.documentElement.lang = texts.lang;
  document.querySelectorAll('[data-text]').forEach((one) => write(one, texts[one.dataset.text]));
  document.querySelectorAll('[data-label]').forEach((one) => one.setAttribute('aria-label', texts[one.dataset.label]));
  document
    .querySelectorAll('[data-language]')
    .forEach((one) => one.setAttribute('aria-pressed', one.dataset.language === texts.lang));
}

export function draw(state) {
  const { role, phase } = state;
  acting = focused() ? $('actions').contains(focused()) : acting;
  document.querySelector('.phone').dataset.phase = phase;
  write($('role'), texts.roleOf[role]);
  write($('their-name'), texts.other[role]);
  write($('points-label'), texts.points[role]);
  write($('open-other'), texts.openOther[role]);
  write($('step-talk-more'), texts.stepTalkMore(state.price ?? 0, state.unit ?? 60));
  write($('status'), status(state));
  write($('hint'), hint(state));
  $('hint').classList.toggle('wrong', Boolean(state.problem) || Boolean(state.fault) || phase === 'refused');
  drawBanner(state);
  drawFacts(state);
  drawActions(state);
  drawSteps(state);
  drawOtomos(state);
  $('my-muted').hidden = !state.muted;
  $('their-muted').hidden = !state.theirMuted;
  document.title = `${HAPPENING.includes(phase) ? `${status(state)} · ` : ''}voiceplane ${texts.demo}`;
  if (acting && !focused()) $('actions').querySelector(':scope > :not([hidden])')?.focus();
}

function focused() {
  const element = document.activeElement;
  return element === document.body || element?.hidden ? null : element;
}

function status({ phase, role, otomo, fault, away }) {
  if (fault) return texts.status.silent;
  if (phase === 'ready' && role === 'user' && otomo !== 'online')
    return texts.status[{ busy: 'busy', away: 'away' }[otomo] ?? 'alone'];
  if (phase === 'ready' && away) return texts.status.resting;
  const text = texts.status[phase];
  return text[role] ?? text;
}

function hint({ phase, role, otomo, problem, fault, why, price, outcome, deadlineAt, away }) {
  if (problem) return refusal(problem);
  if (fault) return texts.fault[fault.code](fault);
  if (phase === 'refused') return texts.microphoneFailed[why];
  if (phase === 'incoming') return texts.hint.incoming(price);
  if (phase === 'ended') return `${texts.reason[outcome.reason] ?? outcome.reason}\n${ended(outcome)}`;
  if (phase === 'ready' && away) return texts.hint.away;
  if (phase === 'ready') return role === 'user' && otomo === 'offline' ? texts.hint.alone : texts.hint.ready[role];
  if (phase === 'talking' && deadlineAt) return texts.hint.draining(timeOfDay(deadlineAt));
  return texts.hint[phase] ?? '';
}

function ended({ connected, seconds, points }) {
  return connected ? texts.hint.ended(seconds, points) : texts.hint.unconnected;
}

function drawBanner({ socket }) {
  $('banner').hidden = socket === 'up';
  write($('banner'), { down: texts.lost, replaced: texts.replaced, up: '' }[socket]);
}

function drawFacts({ role, balance, charged, ticks, lastCharge }) {
  write($('points'), String((role === 'user' ? balance : charged) ?? '–'));
  if (ticks && $('tick').dataset.ticks !== String(ticks)) {
    write($('tick'), `${role === 'user' ? '−' : '+'}${lastCharge}`);
    $('tick').classList.remove('shown');
    void $('tick').offsetWidth; // so that the animation begins anew
    $('tick').classList.add('shown');
  }
  $('tick').dataset.ticks = String(ticks ?? 0);
}

// What moves by itself while a call lives.
export function drawClock({ phase, role, connectedAt, unit, price, outcome, ending }) {
  const seconds = phase === 'talking' && connectedAt ? (Date.now() - connectedAt) / 1000 : (outcome?.seconds ?? 0);
  write($('time'), clock(seconds));
  const charging = phase === 'talking' && connectedAt && price > 0;
  const left = unit - (seconds % unit);
  write($('next'), charging ? clock(Math.ceil(left)) : '–');
  $('next-bar').style.setProperty('--part', charging ? String(1 - left / unit) : '0');
  drawEnding(phase === 'talking' ? ending : null, role);
}

// The moment is said once, the seconds to it are for the eye. An end that has not come has moved.
function drawEnding(ending, role) {
  const left = ending ? (ending.at - Date.now()) / 1000 : -Infinity;
  const near = left > -ENDS_WITHIN_S;
  $('ending').hidden = !near;
  write($('ending-text'), near ? texts.ending(ending.reason, timeOfDay(ending.at), ending.pointsNeeded, role) : '');
  write($('ending-left'), near ? clock(Math.ceil(left)) : '');
}

const timeOfDay = (at) => new Date(at).toTimeString().slice(0, 8);

function drawActions({ phase, role, otomo, balance, price, muted, sending, blocked, away }) {
  const over = phase === 'ready' || phase === 'ended';
  const broke = role === 'user' && balance < price;
  const shown = {
    'open-other': over && (role === 'otomo' ? phase === 'ready' : otomo === 'offline'),
    call: over && role === 'user' && otomo !== 'offline' && !broke,
    accept: phase === 'incoming',
    reject: phase === 'incoming',
    retry: phase === 'refused',
    'use-tone': phase === 'refused',
    rejoin: phase === 'rejoin',
    unblock: phase === 'talking' && blocked,
    mute: phase === 'talking' && sending,
    away: over && role === 'otomo',
    'hang-up': ['ringing', 'joining', 'talking', 'rejoin'].includes(phase),
    'start-over': over && broke,
  };
  for (const [id, wanted] of Object.entries(shown)) $(id).hidden = !wanted;
  $('call').disabled = otomo !== 'online';
  $('mute').setAttribute('aria-pressed', String(Boolean(muted)));
  $('away').setAttribute('aria-pressed', String(Boolean(away)));
  $('open-other').classList.toggle('primary', role === 'user');
}

function drawSteps({ phase, role, otomo }) {
  const at = { joining: 2, talking: 2, rejoin: 2, ended: 3, ringing: 1, incoming: 1, microphone: 1, refused: 1 }[phase];
  const now = at ?? (role === 'user' && otomo === 'offline' ? 0 : 1);
  document.querySelectorAll('.steps li').forEach((step, index) => {
    step.classList.toggle('done', index < now);
    if (index === now) step.setAttribute('aria-current', 'step');
    else step.removeAttribute('aria-current');
  });
}

function drawOtomos({ role, otomos }) {
  $('others').hidden = role !== 'user';
  const lines = [...(otomos ?? [])].sort(([one], [other]) => (one < other ? -1 : 1));
  const shown = lines.map(([id, status]) => `${id} · ${texts.statusOf[status]}`);
  if ([...$('otomos').children].map((line) => line.textContent).join('\n') === shown.join('\n')) return;
  $('otomos').replaceChildren(
    ...shown.map((text, index) => {
      const line = document.createElement('li');
      line.dataset.status = lines[index][1];
      line.textContent = text;
      return line;
    }),
  );
}

export function drawLevel(side, level, told) {
  $(`${side}-face`).style.setProperty('--level', level.toFixed(2));
  if (told != null) $(`${side}-level`).setAttribute('aria-valuenow', String(Math.round(told * 100)));
}

export function drawEvent(type, payload) {
  const line = document.createElement('li');
  const [time, name, body] = ['time', 'b', 'code'].map((tag) => line.appendChild(document.createElement(tag)));
  time.textContent = timeOfDay(Date.now());
  name.textContent = type;
  body.textContent = JSON.stringify(payload, null, 1).replaceAll(/\n */g, ' '); // with blanks, at which it may wrap
  $('log').prepend(line);
  while ($('log').childElementCount > LOG_LINES) $('log').lastElementChild.remove();
}

// Only what changed: a screen reader says a status again that is written again.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
