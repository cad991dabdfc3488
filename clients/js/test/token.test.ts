import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VoiceplaneError } from '../src/errors';
import { Tokens } from '../src/token';

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims: object) => `${part({ alg: 'HS256' })}.${part(claims)}.signature`;
const NOW_S = 1_000_000;

function counting(token: () => string) {
  let asked = 0;
  const tokens = new Tokens(
    () => {
      asked += 1;
      return token();
    },
    () => NOW_S * 1000,
  );
  return { tokens, asked: () => asked };
}

test('a token is asked for once, by however many, until it is about to expire', async () => {
  const { tokens, asked } = counting(() => jwt({ sub: 'hana', role: 'otomo', exp: NOW_S + 3600 }));
  await Promise.all([tokens.get(), tokens.get()]);
  await tokens.get();
  assert.equal(asked(), 1);
  assert.deepEqual(tokens.identity, { id: 'hana', role: 'otomo' });

  const old = counting(() => jwt({ sub: 'mia', role: 'user', exp: NOW_S + 5 }));
  await old.tokens.get();
  await old.tokens.get();
  assert.equal(old.asked(), 2);
});

test('a token that the server has refused is asked for again, another one that came meanwhile is not', async () => {
  const { tokens, asked } = counting(() => jwt({ sub: 'mia', role: 'user', exp: NOW_S + 3600, jti: asked() }));
  const first = await tokens.get();
  tokens.forget(first);
  const second = await tokens.get();
  assert.notEqual(second, first);
  tokens.forget(first);
  await tokens.get();
  assert.equal(asked(), 2);
});

test('who may be named in letters of any language, and by the alias', async () => {
  const { tokens } = counting(() => jwt({ userId: 'はな', role: 'user', exp: NOW_S + 3600 }));
  await tokens.get();
  assert.deepEqual(tokens.identity, { id: 'はな', role: 'user' });
});

test('what is no token, and what throws, is one code', async () => {
  const sources = ['', 'two words', () => Promise.reject(new Error('offline')), () => null as never];
  for (const source of sources) {
    await assert.rejects(new Tokens(source).get(), (error: unknown) => {
      return error instanceof VoiceplaneError && error.code === 'TOKEN_FAILED';
    });
  }
});
