// Asking again and again: one question at a time, none while nobody looks, and slower while nobody answers.

const SLOWER_MS = 5000;

export class Poller {
  // `told(error)` after every question: what is wrong with any of them, or null.
  constructor(told) {
    Object.assign(this, { told, tasks: new Set() });
    document.addEventListener('visibilitychange', () => document.hidden || this.now());
    addEventListener('online', () => this.now());
  }

  // Runs `ask` at once and then every so many milliseconds. Returns what stops it.
  every(periodMs, ask) {
    const task = { ask, periodMs, timer: 0, running: false };
    this.tasks.add(task);
    this.run(task);
    return () => {
      clearTimeout(task.timer);
      this.tasks.delete(task);
    };
  }

  now() {
    for (const task of this.tasks) this.run(task);
  }

  async run(task) {
    clearTimeout(task.timer);
    if (task.running || document.hidden) return; // who comes back to the tab asks at once
    task.running = true;
    task.error = await task.ask().then(
      () => null,
      (failure) => failure,
    );
    task.running = false;
    if (!this.tasks.has(task)) return; // stopped meanwhile, and nobody wants to know
    this.told(task.error ?? [...this.tasks].find(({ error }) => error)?.error ?? null);
    if (!this.tasks.has(task)) return; // what was told stopped it
    task.timer = setTimeout(() => this.run(task), task.error ? Math.max(task.periodMs, SLOWER_MS) : task.periodMs);
  }
}
