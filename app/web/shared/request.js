// One request to the API, whose paths are relative to the page: a proxy may have put us below a path of its own.

export class Refused extends Error {
  // `status` 0 and code NETWORK: there was no answer at all.
  constructor(status, { error = 'NETWORK', message = '' } = {}, retryAfter = 0) {
    super(message || error);
    Object.assign(this, { status, code: error, retryAfter });
  }
}

export async function request(method, path, options) {
  return (await send(method, path, options)).json().catch(() => ({}));
}

// A file, however long it takes. One that was cut off is no file.
export async function download(path, options) {
  const response = await send('GET', path, options);
  return response.blob().catch(() => {
    throw new Refused(0, { error: 'CUT_OFF' });
  });
}

// Resolves to an answer that is no refusal.
async function send(method, path, { token, body, signal } = {}) {
  const headers = {
    ...(token && { Authorization: `Bearer ${token}` }),
    ...(body && { 'Content-Type': 'application/json' }),
  };
  let response;
  try {
    response = await fetch(new URL(path, location.href), {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0);
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw Object.assign(new Refused(response.status, answer, Number(response.headers.get('Retry-After'))), { answer });
}
