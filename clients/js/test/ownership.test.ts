import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whoseIs } from '../src/media';

const ROOM = { sending: { id: 's' }, receiving: { id: 'r' } };
const media = (...ids: string[]) => ({
  transports: ids.map((transportId) => ({ transportId, direction: 'send' as const })),
});

test('whose the media is, is said by the transports that the server has', () => {
  assert.equal(whoseIs(ROOM, media('s', 'r')), 'ours');
  assert.equal(whoseIs(ROOM, media('s', 'r', 'x')), 'ours'); // a server that keeps several
  assert.equal(whoseIs(ROOM, media('x', 'r')), 'another'); // it is just taking over
  assert.equal(whoseIs(ROOM, media('x', 'y')), 'another');
  assert.equal(whoseIs(ROOM, media('r')), 'nobody');
  assert.equal(whoseIs(ROOM, media()), 'nobody');
  assert.equal(whoseIs(ROOM, null), 'nobody');
  assert.equal(whoseIs(ROOM, undefined), 'nobody');
});
