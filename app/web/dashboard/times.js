// Times between the API, in UTC, and the inputs of forms, in the browser's own time, to the minute.

// `2026-01-31T09:30`, as inputs have it; empty where `at` is no time.
export function toLocal(at) {
  const time = new Date(at);
  if (!at || Number.isNaN(time.getTime())) return '';
  const shifted = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

export function fromLocal(text) {
  return new Date(text).toISOString();
}
