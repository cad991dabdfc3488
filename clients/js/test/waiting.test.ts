import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff, OneAtATime, sleep, unlessAborted } from '../src/waiting';

/** A job that is done when it is told. */
function held() {
  const runs: { finish: () => void; fail: (error: Error) => void }[] = [];
  const job = () =>
    new Promise<void>((finish, fail) => {
      runs.push({ finish, fail });
    });
  return { runs, queue: new OneAtATime(job) };
}

const settled = () => new Promise((done) => setImmediate(done));

test('a job that is asked for while it runs is run once more, however often it was asked for', async () => {
  const { runs, queue } = held();
  const first = queue.run();
  const [second, third] = [queue.run(), queue.run()];
  assert.equal(runs.length, 1);
  runs[0]?.finish();
  await first;
  await settled();
  assert.equal(runs.length, 2);
  runs[1]?.finish();
  await Promise.all([second, third]);
  assert.equal(runs.length, 2);
  assert.equal(queue.isRunning, false);
});

test('a job that fails fails its own askers and no others', async () => {
  const { runs, queue } = held();
  const first = queue.run();
  const second = queue.run();
  runs[0]?.fail(new Error('the first'));
  await assert.rejects(first, /the first/);
  await settled();
  runs[1]?.finish();
  await second;
});

test('a job that is asked for just as another one ends never runs beside it', async () => {
  let running = 0;
  let most = 0;
  const queue = new OneAtATime(async () => {
    running += 1;
    most = Math.max(most, running);
    await settled();
    running -= 1;
  });
  const asked: Promise<void>[] = [];
  for (let round = 0; round < 50; round += 1) {
    asked.push(queue.run(), queue.run());
    await Promise.resolve();
    asked.push(queue.run());
    if (round % 3 === 0) await settled();
  }
  await Promise.all(asked);
  assert.equal(most, 1);
});

test('waits grow twofold to their limit, begin anew, and are spread by a quarter', () => {
  const even = new Backoff(100, 500, () => 0.5);
  assert.deepEqual([even.next(), even.next(), even.next(), even.next()], [100, 200, 400, 500]);
  even.reset();
  assert.equal(even.next(), 100);
  assert.equal(new Backoff(100, 500, () => 0).next(), 75);
  assert.equal(new Backoff(100, 500, () => 1).next(), 125);
});

test('a sleep ends when it is woken, and throws what its signal was aborted with', async () => {
  const never = 1_000_000;
  const stop = new AbortController();
  let wake: () => void = () => undefined;
  const sleeping = sleep(never, stop.signal, (given) => (wake = given));
  wake();
  await sleeping;
  const another = sleep(never, stop.signal);
  stop.abort(new Error('over'));
  await assert.rejects(another, /over/);
  await assert.rejects(sleep(0, stop.signal), /over/);
  await assert.rejects(unlessAborted(Promise.resolve(), stop.signal), /over/);
});

test('what is waited for counts unless the signal is first', async () => {
  const stop = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(1), stop.signal), 1);
  const waiting = unlessAborted(new Promise(() => undefined), stop.signal);
  stop.abort(new Error('over'));
  await assert.rejects(waiting, /over/);
});
