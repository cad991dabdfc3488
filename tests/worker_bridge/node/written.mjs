// What mediasoup for Node writes of one router with a microphone, a simulcast camera, an SVC screen and messages, as one
// object of JSON on stdout. Arguments: the folder of packages, and what to produce. See test_node_json.py.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import process from 'node:process';

const [, , packages, given] = process.argv;
const mediasoup = createRequire(`${packages}/`)('mediasoup');
const { codecs, listenInfo, microphone, camera, screen, streams } = JSON.parse(given);

function packet(ssrc, payloadType, sequenceNumber) {
  const bytes = Buffer.alloc(40, 1);
  bytes.writeUInt16BE(0x8000 | payloadType, 0);
  bytes.writeUInt16BE(sequenceNumber, 2);
  bytes.writeUInt32BE(960 * sequenceNumber, 4);
  bytes.writeUInt32BE(ssrc, 8);
  return bytes;
}

const worker = await mediasoup.createWorker({ logLevel: 'none' });
const router = await worker.createRouter({ mediaCodecs: codecs });
const webrtc = await router.createWebRtcTransport({
  listenInfos: [listenInfo, { ...listenInfo, protocol: 'tcp' }],
  enableTcp: true,
  enableSctp: true,
});
const plain = await router.createPlainTransport({ listenInfo, comedia: true, rtcpMux: true });
const secret = await router.createPlainTransport({ listenInfo, comedia: true, rtcpMux: false, enableSrtp: true });
const pipe = await router.createPipeTransport({ listenInfo });
const direct = await router.createDirectTransport();

const producers = [
  await plain.produce({ kind: 'audio', rtpParameters: microphone }),
  await webrtc.produce({ kind: 'video', rtpParameters: camera }),
  await webrtc.produce({ kind: 'video', rtpParameters: screen }),
];
const listener = await router.createWebRtcTransport({ listenInfos: [listenInfo], enableSctp: true });
const consumers = [];
for (const { id: producerId } of producers) {
  consumers.push(await listener.consume({ producerId, rtpCapabilities: router.rtpCapabilities }));
  consumers.push(await pipe.consume({ producerId }));
}
const dataProducers = [await direct.produceData({ label: 'chat' })];
for (const sctpStreamParameters of streams) dataProducers.push(await webrtc.produceData({ sctpStreamParameters }));
const dataConsumers = [];
for (const { id: dataProducerId } of dataProducers) dataConsumers.push(await listener.consumeData({ dataProducerId }));

const [voice] = producers;
const socket = createSocket('udp4');
const met = once(plain, 'tuple');
const scored = Promise.all([once(voice, 'score'), once(consumers[0], 'score')]);
const [{ ssrc }] = voice.rtpParameters.encodings;
socket.send(packet(ssrc, voice.rtpParameters.codecs[0].payloadType, 1), plain.tuple.localPort, plain.tuple.localAddress);
await Promise.all([met, scored]);
socket.close();

const stats = async (those) => (await Promise.all(those.map((one) => one.getStats()))).flat();
const transports = [webrtc, plain, secret, pipe, direct];
process.stdout.write(JSON.stringify({
  version: mediasoup.version,
  supported: mediasoup.getSupportedRtpCapabilities(),
  RtpCapabilities: [router.rtpCapabilities],
  RtpParameters: [...producers, ...consumers].map((one) => one.rtpParameters),
  IceParameters: [webrtc.iceParameters, listener.iceParameters],
  IceCandidate: [...webrtc.iceCandidates, ...listener.iceCandidates],
  DtlsParameters: [webrtc.dtlsParameters, listener.dtlsParameters],
  SctpParameters: [webrtc.sctpParameters, listener.sctpParameters],
  SctpStreamParameters: [...dataProducers, ...dataConsumers].map((one) => one.sctpStreamParameters).filter(Boolean),
  SrtpParameters: [secret.srtpParameters],
  TransportTuple: [plain.tuple, secret.tuple, secret.rtcpTuple, pipe.tuple],
  ProducerScore: voice.score,
  ConsumerScore: consumers.filter(({ type }) => type !== 'pipe').map((one) => one.score),
  ConsumerLayers: consumers.map((one) => one.preferredLayers).filter(Boolean),
  RtpStreamStats: await stats([...producers, ...consumers]),
  TransportStats: await stats(transports),
  DataProducerStats: await stats(dataProducers),
  DataConsumerStats: await stats(dataConsumers),
}));
worker.close();
