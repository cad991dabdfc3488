import assert from 'node:assert/strict';
import { test } from 'node:test';
import { after, merged } from '../src/states';
import type { CallState, Step } from '../src/states';

const STATES: CallState[] = ['ringing', 'connecting', 'talking', 'interrupted', 'ended'];
const STEPS: Step[] = ['accepted', 'connected', 'interrupted', 'resumed', 'ended'];

test('a call goes forward, but for an interruption', () => {
  const walk = (...steps: Step[]) => steps.reduce<CallState>(after, 'ringing');
  assert.equal(walk('accepted', 'connected'), 'talking');
  assert.equal(walk('accepted', 'connected', 'interrupted'), 'interrupted');
  assert.equal(walk('accepted', 'connected', 'interrupted', 'resumed'), 'talking');
  assert.equal(walk('accepted', 'connected', 'accepted'), 'talking');
  assert.equal(walk('connected', 'accepted'), 'talking'); // events that were replayed late
});

test('an ended call stays ended, whatever comes', () => {
  for (const step of STEPS) assert.equal(after('ended', step), 'ended');
  for (const stored of ['ringing', 'talking', 'interrupted']) assert.equal(merged('ended', stored, 'since'), 'ended');
  for (const state of STATES) assert.equal(after(state, 'ended'), 'ended');
});

test('an answer that is older than what is known changes nothing', () => {
  for (const asked of ['since', 'before'] as const) {
    assert.equal(merged('connecting', 'ringing', asked), 'connecting');
    assert.equal(merged('talking', 'matched', asked), 'talking');
    assert.equal(merged('ringing', 'matched', asked), 'connecting');
    assert.equal(merged('ringing', 'talking', asked), 'talking');
    assert.equal(merged('connecting', 'interrupted', asked), 'interrupted');
    assert.equal(merged('talking', 'ended', asked), 'ended');
  }
});

test('an answer tells of an interruption, or of its end, where no event has come since it was asked for', () => {
  assert.equal(merged('talking', 'interrupted', 'since'), 'interrupted');
  assert.equal(merged('interrupted', 'talking', 'since'), 'talking');
  assert.equal(merged('talking', 'interrupted', 'before'), 'talking');
  assert.equal(merged('interrupted', 'talking', 'before'), 'interrupted');
});

test('a state that a later server has made up is taken for a call that goes on', () => {
  assert.equal(merged('connecting', 'on_hold', 'since'), 'talking');
});
