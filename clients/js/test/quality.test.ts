import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QualityWord, mosOf, wordFor } from '../src/quality';

const FINE = { loss: 0, jitterMs: 1, roundTripMs: 20 };

test('a network without faults is as good as the model can say, and each fault takes something away', () => {
  assert.ok(Math.abs(mosOf(FINE) - 4.41) < 0.01);
  assert.equal(wordFor(mosOf(FINE)), 'excellent');
  assert.ok(mosOf({ ...FINE, loss: 0.02 }) < mosOf(FINE));
  assert.ok(mosOf({ ...FINE, jitterMs: 80 }) < mosOf(FINE));
  assert.ok(mosOf({ ...FINE, roundTripMs: 600 }) < mosOf(FINE));
  assert.equal(wordFor(mosOf({ ...FINE, loss: 0.3 })), 'poor');
  assert.ok(mosOf({ loss: 1, jitterMs: 500, roundTripMs: 3000 }) >= 1);
});

test('a word changes when it came twice, but what is lost is told at once, and so is what is back', () => {
  const word = new QualityWord();
  assert.equal(word.take('good'), true); // the first
  assert.equal(word.take('fair'), false);
  assert.equal(word.take('good'), false);
  assert.equal(word.take('fair'), false);
  assert.equal(word.take('fair'), true);
  assert.equal(word.take('lost'), true);
  assert.equal(word.take('lost'), false);
  assert.equal(word.take('good'), true);
  assert.equal(word.word, 'good');
});
