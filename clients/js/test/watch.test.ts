import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallStats } from '../src/stats';
import { heardBetween } from '../src/watch';

const counted = (packets: number, lost: number): CallStats => ({
  sent: { packets: 0, bytes: 0 },
  received: { packets, bytes: 0, lost },
  jitterMs: 1,
  roundTripMs: 20,
  path: 'udp',
  connection: { sending: 'connected', receiving: 'connected' },
  serverAddresses: [],
  microphoneEnergy: null,
});

test('how it sounded is of what came between the two looks, and nothing where nothing came', () => {
  assert.equal(heardBetween(null, counted(0, 0)), null);
  assert.equal(heardBetween(counted(100, 50), counted(100, 50)), null);
  assert.deepEqual(heardBetween(counted(100, 50), counted(190, 60)), {
    quality: 'fair',
    mos: 3.18,
    lossPercent: 10,
    jitterMs: 1,
    roundTripMs: 20,
  });
  assert.equal(heardBetween(counted(100, 50), counted(200, 40))?.lossPercent, 0); // what had been lost came late
});
