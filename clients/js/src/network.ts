// What the browser says of its network: that it is back, that it is another one, that the page is looked at again.

interface NetworkInformation extends EventTarget {
  readonly type?: string;
}

export type NetworkChange = 'online' | 'changed' | 'visible';

/** Returns what ends it. Not every browser tells that the network is another one (W3C Network Information API). */
export function watchNetwork(told: (change: NetworkChange) => void): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const { connection } = navigator as { connection?: NetworkInformation };
  const hear = (target: EventTarget | undefined, event: string, change: () => NetworkChange | null) => {
    target?.addEventListener(
      event,
      () => {
        const now = change();
        if (now) told(now);
      },
      { signal },
    );
  };
  hear(globalThis, 'online', () => 'online');
  hear(connection, 'change', () => 'changed');
  hear(document, 'visibilitychange', () => (document.visibilityState === 'visible' ? 'visible' : null));
  return () => stop.abort();
}
