// One line of the table of live calls, and ending a call.
import { ask, say } from './dialogs.js';
import { $, h, set, write } from './dom.js';
import { DASH, duration, number, quality, words } from './format.js';
import { nameOf } from './nodes.js';
import { session } from './session.js';

export const RANK = {
  talking: 'good',
  interrupted: 'warn',
  ringing: 'busy',
  requesting: 'busy',
  matched: 'busy',
  connecting: 'busy',
  ending: 'warn',
  ended: 'none',
};

// Roles stand for the tags', which a phone's layout takes away from them.
export function callRow({ callId }) {
  const cell = (label, kind = '') => h('td', { role: 'cell', class: kind, 'data-label': label });
  const call = h('a', { class: 'mono', href: `#/calls/${encodeURIComponent(callId)}` }, callId);
  const [state, mos, flags] = [h('span', { class: 'pill' }), h('span', {}), h('span', { class: 'flags' })];
  const cells = [
    cell('User and otomo'),
    cell('State'),
    cell('Time', 'number'),
    cell('Quality'),
    cell('Points', 'number'),
    cell('Worker', 'number'),
    cell(null, 'action'),
  ];
  const [who, inState, time, heard, points, worker, action] = cells;
  const [user, otomo] = [h('span', { class: 'id' }), h('span', { class: 'id' })];
  who.append(user, h('span', { class: 'muted', 'aria-label': 'calls' }, ' → '), otomo);
  let latest;
  const end = h(
    'button',
    { class: 'button small', type: 'button', click: () => endFromTable(latest) },
    'End',
    h('span', { class: 'visually-hidden' }, ` call ${callId}`),
  );
  inState.append(state);
  heard.append(mos, flags);
  action.append(end);
  return {
    element: h('tr', { role: 'row' }, h('th', { role: 'rowheader', scope: 'row' }, call), ...cells),
    update(now) {
      latest = now;
      write(user, now.userId);
      write(otomo, now.otomoId);
      write(state, now.state);
      set(state, 'data-rank', RANK[now.state]);
      write(time, now.talkSeconds == null ? DASH : duration(now.talkSeconds));
      drawQuality(mos, now.mos);
      write(flags, now.flags.map(({ type, userId }) => `${words(type)}: ${userId}`).join(', '));
      write(points, number(now.billedPoints));
      write(worker, now.worker ?? DASH);
      set(worker, 'title', `node ${nameOf(now.node)}`);
    },
  };
}

export function drawQuality(element, mos) {
  const { word, rank } = quality(mos);
  write(element, mos == null ? DASH : `${mos.toFixed(1)} ${word}`);
  set(element, 'data-rank', rank);
  set(element, 'class', 'quality');
  set(element, 'title', 'Estimated mean opinion score, 1 to 4.5 (ITU-T G.107)');
}

// The line goes with the call, and so the focus moves to what stays.
async function endFromTable(call) {
  if (await endCall(call)) $('calls-title').focus();
}

// Asks before it ends the call. Resolves to whether it was ended.
export async function endCall({ callId, userId, otomoId }) {
  write($('end-who'), `${userId} and ${otomoId}, call ${callId}. Both are told, and cannot go back into it.`);
  $('end-reason').value = '';
  const done = await ask('end-dialog', () => {
    const reason = $('end-reason').value.trim();
    return session.ask('POST', `calls/${encodeURIComponent(callId)}/end`, reason ? { reason } : undefined);
  });
  if (done) say(`Call ${callId} was ended.`);
  return done;
}
