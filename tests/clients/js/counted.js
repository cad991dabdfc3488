// Runs before a page's own scripts, and counts what it has that would outlive a call: `left()` is by kind how many there are.
// Cuts WebSockets, too: `cut.after` messages more, and the one after it does not arrive.
{
  const timers = new Set();
  const sockets = new Set();
  const tracks = new Set();
  const contexts = new Set();
  const listeners = new Map();
  const lasting = [window, document, navigator.mediaDevices, navigator.connection].filter(Boolean);

  const { setTimeout: later, clearTimeout: never } = window;
  window.setTimeout = (does, ...rest) => {
    const id = later(() => {
      timers.delete(id);
      does();
    }, ...rest);
    timers.add(id);
    return id;
  };
  window.clearTimeout = (id) => {
    timers.delete(id);
    never(id);
  };

  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const count = (target, by) => listeners.set(target, (listeners.get(target) ?? 0) + by);
  EventTarget.prototype.addEventListener = function (type, listener, options) {
    addEventListener.call(this, type, listener, options);
    const target = this ?? window;
    if (!lasting.includes(target)) return;
    count(target, 1);
    if (options?.signal) addEventListener.call(options.signal, 'abort', () => count(target, -1), { once: true });
  };
  EventTarget.prototype.removeEventListener = function (...which) {
    removeEventListener.apply(this, which);
    if (lasting.includes(this ?? window)) count(this ?? window, -1);
  };

  if (navigator.mediaDevices) {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      const stream = await open(wanted);
      for (const track of stream.getTracks()) tracks.add(track);
      return stream;
    };
  }

  window.AudioContext = class extends AudioContext {
    constructor(...options) {
      super(...options);
      contexts.add(this);
    }
  };

  window.cut = { after: null, cuts: 0 };
  window.WebSocket = class extends WebSocket {
    constructor(...options) {
      super(...options);
      sockets.add(this);
    }

    set onmessage(heard) {
      super.onmessage = heard && ((event) => {
        if (event.data.includes('"pong"') || cut.after === null || cut.after > 0) {
          if (cut.after !== null && !event.data.includes('"pong"')) cut.after -= 1;
          heard(event);
          return;
        }
        cut.after = null;
        cut.cuts += 1;
        this.close(); // and the message is lost
      });
    }
  };

  window.sockets = sockets;
  window.left = () => ({
    timers: timers.size,
    sockets: [...sockets].filter((one) => one.readyState <= WebSocket.OPEN).length, // a dead network's take their time to close
    peers: peers.all.filter((one) => one.connectionState !== 'closed').length,
    tracks: [...tracks].filter((one) => one.readyState === 'live').length,
    contexts: [...contexts].filter((one) => one.state !== 'closed').length,
    listeners: [...listeners.values()].reduce((sum, one) => sum + one, 0),
  });
}
