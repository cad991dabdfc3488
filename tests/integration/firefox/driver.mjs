// Drives real browsers for tests in Python, and asks the node: one JSON command a line on stdin, `{ id, does, ... }`, and one
// JSON answer a line on stdout, `{ id, value }` or `{ id, error }`. Ends, and its browsers with it, when stdin does.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import puppeteer from 'puppeteer-core';

const browsers = [];
const pages = [];
const complaints = [];

const PROTOCOLS = {
  firefox: { protocol: 'webDriverBiDi', told: /WebDriver BiDi listening on (ws:\/\/\S+)/, path: '/session' },
  chromium: { protocol: 'cdp', told: /DevTools listening on (ws:\/\/\S+)/, path: '' },
};

const commands = {
  async launch({ kind, command: [file, ...args] }) {
    const { protocol, told, path } = PROTOCOLS[kind];
    const program = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = new Promise((done) => program.on('exit', done));
    const url = await said(program, told);
    const browser = await puppeteer.connect({ browserWSEndpoint: url + path, protocol, defaultViewport: null });
    return browsers.push({ browser, program, ended }) - 1;
  },

  async open({ browser, url, before }) {
    const page = await browsers[browser].browser.newPage();
    page.on('pageerror', ({ message }) => complaints.push(message));
    if (before) await page.evaluateOnNewDocument(before);
    await page.goto(url);
    return pages.push(page) - 1;
  },

  async reload({ page }) {
    await pages[page].reload();
  },

  async close({ page }) {
    await pages[page].close();
  },

  // As a person does: the window is in front when it is clicked.
  async click({ page, selector }) {
    await pages[page].bringToFront();
    await pages[page].click(selector);
  },

  async resize({ page, width, height }) {
    await pages[page].setViewport({ width, height });
  },

  async press({ page, key, shift }) {
    const { keyboard } = pages[page];
    if (shift) await keyboard.down('Shift');
    await keyboard.press(key);
    if (shift) await keyboard.up('Shift');
  },

  async type({ page, text }) {
    await pages[page].keyboard.type(text);
  },

  evaluate: ({ page, script }) => pages[page].evaluate(script),

  async until({ page, script, within }) {
    await pages[page].waitForFunction(script, { timeout: within, polling: 100 });
  },

  async screenshot({ page, path }) {
    await pages[page].screenshot({ path });
  },

  async request({ method, url, headers, body }) {
    const answer = await fetch(url, { method, headers, body });
    return { status: answer.status, body: await answer.json() };
  },

  complaints: async () => complaints,
};

function said(program, pattern) {
  return new Promise((done, failed) => {
    let text = '';
    program.on('error', failed);
    program.on('exit', () => failed(new Error(`it ended, saying ${text}`)));
    program.stderr.on('data', (more) => {
      text = (text + more).slice(-10_000);
      const match = pattern.exec(text);
      if (match) done(match[1]);
    });
  });
}

async function answer({ id, does, ...options }) {
  try {
    return { id, value: (await commands[does](options)) ?? null };
  } catch (error) {
    return { id, error: String(error.message ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  answer(JSON.parse(line)).then((said) => process.stdout.write(`${JSON.stringify(said)}\n`));
}
for (const { program } of browsers) program.kill();
await Promise.all(browsers.map(({ ended }) => ended));
process.exit();
