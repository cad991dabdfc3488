// Runs before a page's own scripts, and keeps what they connect with: `await peers.heard()` is what has come and how loud it
// was, by what the browser decoded and by nothing that a page or a server says.
class Peers {
  all = [];

  async heard() {
    const sum = { packets: 0, energy: 0, seconds: 0 };
    for (const peer of this.all) {
      for (const one of (await peer.getStats()).values()) {
        if (one.type !== 'inbound-rtp' || one.kind !== 'audio') continue;
        sum.packets += one.packetsReceived;
        sum.energy += one.totalAudioEnergy ?? 0;
        sum.seconds += one.totalSamplesDuration ?? 0;
      }
    }
    return sum;
  }

  // How many streams of sound come right now.
  async streams() {
    const before = await this.#packets();
    await new Promise((done) => setTimeout(done, 500));
    const after = await this.#packets();
    return [...after].filter(([id, packets]) => packets > (before.get(id) ?? 0)).length;
  }

  async #packets() {
    const found = new Map();
    for (const [number, peer] of this.all.entries()) {
      for (const one of (await peer.getStats()).values()) {
        if (one.type === 'inbound-rtp' && one.kind === 'audio') found.set(`${number} ${one.id}`, one.packetsReceived);
      }
    }
    return found;
  }
}

window.peers = new Peers();
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) {
    super(...options);
    window.peers.all.push(this);
  }
};
