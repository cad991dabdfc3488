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
}

window.peers = new Peers();
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) {
    super(...options);
    window.peers.all.push(this);
  }
};
