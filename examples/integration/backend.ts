/**
 * A back end that uses voiceplane: it sells points, opens a call, hears what became of it, and gives points back.
 *
 *     node build/backend.js alice hana 1001
 *
 * does so for the order 1001, in which alice has paid to talk to hana; the same command again does nothing twice. It is
 * explained piece by piece in docs/integration.md.
 */

import { createHmac } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { Webhook } from 'standardwebhooks';

function setting(name: string, otherwise?: string): string {
  const value = process.env[name] ?? otherwise;
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
}

const VOICE_URL = setting('VOICE_URL');
const JWT_SECRET = setting('JWT_SECRET'); // the nodes have the same
const WEBHOOK_SECRET = setting('WEBHOOK_SECRET'); // whsec_...
const PORT = Number(setting('PORT', '8000'));
const INBOX = setting('INBOX', 'inbox.jsonl');

/** Proves who asks: given to that person's page, or used here as an admin's. */
function token(role: 'user' | 'otomo' | 'admin', person: string, seconds = 3600): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: person, role, iat: now, exp: now + seconds })}`;
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
}

const TRIES = 10;
const AGAIN = new Set([429, 502, 503, 504]); // not now; 502 and 504 are what a balancer says while a node goes

/** No, and asking again would not help. Programs go by `code`. */
class Refused extends Error {
  constructor(
    readonly code: string,
    details: object = [],
  ) {
    super(`${code} ${JSON.stringify(details)}`);
  }
}

/** No answer came, however often it was asked for. What was asked for may have been done. */
class Unavailable extends Error {}

/** The answer to a request, sent until there is one: everything that is asked for here may arrive twice. */
async function ask<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
  for (let tried = 0; tried < TRIES; tried++) {
    let waitS = 1;
    try {
      const answer = await fetch(VOICE_URL + path, {
        method,
        headers: { authorization: `Bearer ${token('admin', 'backend', 60)}`, 'content-type': 'application/json' },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      if (!AGAIN.has(answer.status)) {
        const content = (await answer.json()) as T & { error: string; details?: object };
        if (!answer.ok) throw new Refused(content.error, content.details);
        return content;
      }
      waitS = Number(answer.headers.get('retry-after') ?? waitS);
    } catch (error) {
      if (error instanceof Refused) throw error; // a lost answer is no refusal
    }
    console.log(`no answer now, again in ${waitS} s`);
    await sleep(waitS * 1000);
  }
  throw new Unavailable();
}

/** Points for a payment: once, however often this is called with it. Returns the balance. */
async function sell(user: string, points: number, payment: string): Promise<number> {
  const sold = { amount: points, reason: 'purchase', idempotencyKey: `payment-${payment}` };
  const path = `/admin/wallets/${encodeURIComponent(user)}/adjust`;
  return (await ask<{ balance: number }>('POST', path, sold)).balance;
}

/** The two have been matched: from now on they have 30 seconds to come. */
async function openCall(callId: string, user: string, otomo: string): Promise<void> {
  try {
    const metadata = { soldBy: 'backend.ts' };
    await ask('POST', '/admin/calls', { callId, userId: user, otomoId: otomo, metadata });
  } catch (error) {
    if (!(error instanceof Refused && error.code === 'INVALID_CALL_STATE')) throw error;
    const call = await ask<{ userId: string; otomoId: string }>('GET', `/calls/${callId}`); // ours, if an answer was lost
    if (call.userId !== user || call.otomoId !== otomo) throw error;
  }
}

/** A webhook's type, and what it tells. There are more types than these, and there will be more. */
type Message =
  | { type: 'call.ended'; data: { callId: string; endReason: string; durationSeconds: number; billedPoints: number } }
  | { type: 'wallet.adjusted'; data: { userId: string; amount: number; reason: string } }
  | { type: 'webhook.test'; data: object };

/** A webhook that came; without a body: that is done. */
type Line = { id: string; body?: string };

/** The webhooks that came, each once by its id, and which of them were acted upon: in the lines of a file. */
class Inbox extends EventEmitter<{ arrived: [] }> {
  private readonly file: number;
  private readonly known = new Set<string>();
  private readonly waiting = new Map<string, Message>();

  constructor(path: string) {
    super();
    for (const line of existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []) {
      try {
        this.take(JSON.parse(line) as Line);
      } catch {
        // an empty line, or what a crash has left of one that was not answered
      }
    }
    this.file = openSync(path, 'a');
  }

  put(id: string, body: string): void {
    if (!this.known.has(id)) this.write({ id, body });
  }

  done(id: string): void {
    this.write({ id });
  }

  /** The oldest that is not done, as soon as there is one. */
  async first(): Promise<[string, Message]> {
    for (;;) {
      for (const oldest of this.waiting) return oldest;
      await once(this, 'arrived');
    }
  }

  private write(line: Line): void {
    writeSync(this.file, `\n${JSON.stringify(line)}\n`);
    fsyncSync(this.file); // after which it may be answered
    this.take(line);
  }

  private take({ id, body }: Line): void {
    this.known.add(id);
    if (body === undefined) this.waiting.delete(id);
    else this.waiting.set(id, JSON.parse(body) as Message);
    this.emit('arrived');
  }
}

const HEADERS = ['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const;
const MAX_BYTES = 16 * 1024 * 1024; // call.ended of a long call is longer than many a server's usual limit

/** A webhook: verified, kept, and answered at once. */
async function receive(request: IncomingMessage, response: ServerResponse, inbox: Inbox): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BYTES) return void response.writeHead(413).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString(); // as it came: what is parsed and written anew has another signature
  const headers = Object.fromEntries(HEADERS.map((name) => [name, String(request.headers[name] ?? '')]));
  try {
    new Webhook(WEBHOOK_SECRET).verify(body, headers);
  } catch {
    return void response.writeHead(401).end();
  }
  inbox.put(String(headers['webhook-id']), body);
  response.writeHead(204).end();
}

/** Give back what a call cost, or part of it: once for each call. */
async function refund(callId: string, points: number, reason: string): Promise<void> {
  const back = { points, reason, idempotencyKey: `refund-${callId}` };
  await ask('POST', `/admin/calls/${callId}/refund`, back);
}

const SHORT_S = 60; // who hangs up sooner gets the points back

/** Do what a webhook calls for. Twice, where the process dies in between: so all of it may be done twice. */
async function act({ type, data }: Message): Promise<void> {
  switch (type) {
    case 'call.ended':
      console.log(`call ${data.callId} ended: ${data.endReason}, ${data.billedPoints} points`);
      if (data.billedPoints > 0 && data.durationSeconds < SHORT_S) {
        await refund(data.callId, data.billedPoints, 'short call');
      }
      break;
    case 'wallet.adjusted':
      console.log(`${data.userId}: ${data.amount > 0 ? '+' : ''}${data.amount} points, ${data.reason}`);
      break;
    case 'webhook.test':
      console.log('test received');
      break;
    default: // nothing to do, or a type that is younger than this program
  }
}

/** Act upon webhooks, one after the other, in the order in which they came. */
async function work(inbox: Inbox): Promise<never> {
  for (;;) {
    const [id, message] = await inbox.first();
    try {
      await act(message);
    } catch (error) {
      if (error instanceof Unavailable) continue; // nothing is lost: the same one again
      if (!(error instanceof Refused)) throw error;
      console.log(`${message.type} could not be acted upon: ${error.message}`); // for a person to look at
    }
    inbox.done(id);
  }
}

async function main(user: string, otomo: string, order: string): Promise<never> {
  const inbox = new Inbox(INBOX);
  const server = createServer((request, response) => {
    if (request.method !== 'POST' || request.url !== '/voiceplane') return void response.writeHead(404).end();
    receive(request, response, inbox).catch(() => response.destroy());
  });
  await once(server.listen(PORT, '127.0.0.1'), 'listening');
  const working = work(inbox);
  console.log(`${user} has ${await sell(user, 500, order)} points`);
  await openCall(`order-${order}`, user, otomo);
  console.log(`call order-${order} is open`);
  console.log(`for the page of ${user}: ${token('user', user)}`);
  console.log(`for the page of ${otomo}: ${token('otomo', otomo)}`);
  return working;
}

process.on('SIGINT', () => process.exit());
const [user, otomo, order] = process.argv.slice(2);
if (user === undefined || otomo === undefined || order === undefined)
  throw new Error('who calls whom, in which order?');
await main(user, otomo, order);
