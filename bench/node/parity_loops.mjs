// The loops of bench/parity_loops.py in Node's library: each line of stdin asks for one, each line of stdout is how long
// it took. Run with the folder whose node_modules holds mediasoup.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const mediasoup = createRequire(process.argv[2] + "/")("mediasoup");

const LOOPBACK = { protocol: "udp", ip: "127.0.0.1" };
const OPUS = {
  mimeType: "audio/opus",
  payloadType: 111,
  clockRate: 48000,
  channels: 2,
  parameters: { minptime: 10, useinbandfec: 1 },
};
const MEDIA = [
  { kind: "audio", mimeType: "audio/opus", clockRate: 48000, channels: 2 },
  { kind: "video", mimeType: "video/VP8", clockRate: 90000 },
];
const PAYLOAD = 80;
const MESSAGE = Buffer.alloc(200);
const BATCH = 200;
const FAN_OUT = 10;

const turn = () => new Promise((resolve) => setImmediate(resolve));

const microphone = (number) => ({
  codecs: [OPUS],
  encodings: [{ ssrc: 1_000_000 + number }],
  rtcp: { cname: "bench" },
  mid: `m${number}`,
});

function packet(sequence) {
  const bytes = Buffer.alloc(12 + PAYLOAD);
  bytes.writeUInt16BE(0x806f, 0);
  bytes.writeUInt16BE(sequence & 0xffff, 2);
  bytes.writeUInt32BE((sequence * 960) % 2 ** 32, 4);
  bytes.writeUInt32BE(1_000_000, 8);
  return bytes;
}

async function measure(work) {
  const began = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  await work();
  const used = process.cpuUsage(cpu);
  return { seconds: Number(process.hrtime.bigint() - began) / 1e9, cpuSeconds: (used.user + used.system) / 1e6 };
}

const worker = await mediasoup.createWorker({ logLevel: "warn" });
let router;

async function spoken() {
  const transport = await router.createDirectTransport();
  const producer = await transport.produce({ kind: "audio", rtpParameters: microphone(0) });
  producer.send(packet(0));
  return { transport, producer };
}

const made = (create) => async (number) => (await create(number)).close();

const OPERATIONS = {
  worker_dump: async () => () => worker.dump(),
  create_router: async () => made(() => worker.createRouter({ mediaCodecs: MEDIA })),
  create_webrtc_transport: async () => {
    const webRtcServer = await worker.createWebRtcServer({ listenInfos: [LOOPBACK] });
    router.observer.on("close", () => webRtcServer.close());
    return made(() => router.createWebRtcTransport({ webRtcServer }));
  },
  create_plain_transport: async () => made(() => router.createPlainTransport({ listenInfo: LOOPBACK, comedia: true })),
  create_pipe_transport: async () => made(() => router.createPipeTransport({ listenInfo: LOOPBACK, enableSctp: true })),
  create_direct_transport: async () => made(() => router.createDirectTransport()),
  create_producer: async () => {
    const transport = await router.createPlainTransport({ listenInfo: LOOPBACK, comedia: true });
    return made((number) => transport.produce({ kind: "audio", rtpParameters: microphone(number) }));
  },
  create_consumer: async () => {
    const { transport, producer } = await spoken();
    return made(() => transport.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities }));
  },
  create_data_producer: async () => {
    const transport = await router.createDirectTransport();
    return made(() => transport.produceData({ label: "bench" }));
  },
  create_data_consumer: async () => {
    const transport = await router.createDirectTransport();
    const { id } = await transport.produceData();
    return made(() => transport.consumeData({ dataProducerId: id }));
  },
  create_audio_level_observer: async () => made(() => router.createAudioLevelObserver()),
  create_active_speaker_observer: async () => made(() => router.createActiveSpeakerObserver()),
  produce: async () => {
    const transport = await router.createPlainTransport({ listenInfo: LOOPBACK, comedia: true });
    return (number) => transport.produce({ kind: "audio", rtpParameters: microphone(number) });
  },
  consume: async () => {
    const { transport, producer } = await spoken();
    return () => transport.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities });
  },
  producer_get_stats: async () => {
    const { producer } = await spoken();
    return () => producer.getStats();
  },
  transport_get_stats: async () => {
    const { transport } = await spoken();
    return () => transport.getStats();
  },
  pause_and_resume: async () => {
    const { producer } = await spoken();
    return async () => {
      await producer.pause();
      await producer.resume();
    };
  },
};

class Counter {
  constructor(expected) {
    this.expected = expected;
    this.counted = 0;
    this.awaited = 0;
    this.reached = () => {};
  }

  count() {
    if (++this.counted >= this.awaited) this.reached();
  }

  timed(number, send) {
    const each = this.expected / number;
    return measure(async () => {
      for (let first = 0; first < number; first += BATCH) {
        for (let sequence = first; sequence < Math.min(first + BATCH, number); sequence++) send(sequence);
        await this.until((first - BATCH) * each);
      }
      await this.until(this.expected);
    });
  }

  async until(awaited) {
    this.awaited = awaited;
    if (this.counted < awaited) await new Promise((resolve) => (this.reached = resolve));
  }
}

async function sentIn(number, send, arrived) {
  let count;
  const taken = await measure(async () => {
    for (let first = 0; first < number; first += BATCH) {
      for (let sequence = first; sequence < first + BATCH; sequence++) send(sequence);
      await turn();
    }
    count = await arrived();
  });
  if (count < number) throw new Error(`${count} of ${number} arrived`);
  return taken;
}

async function rtpThrough(number, listeners) {
  const { transport, producer } = await spoken();
  const counter = new Counter(number * listeners);
  for (let listener = 0; listener < listeners; listener++) {
    const consumer = await transport.consume({ producerId: producer.id, rtpCapabilities: router.rtpCapabilities });
    consumer.on("rtp", () => counter.count());
  }
  return counter.timed(number, (sequence) => producer.send(packet(sequence)));
}

async function dataThrough(number, listeners) {
  const transport = await router.createDirectTransport();
  const dataProducer = await transport.produceData();
  const counter = new Counter(number * listeners);
  for (let listener = 0; listener < listeners; listener++) {
    const dataConsumer = await transport.consumeData({ dataProducerId: dataProducer.id });
    dataConsumer.on("message", () => counter.count());
  }
  return counter.timed(number, () => dataProducer.send(MESSAGE));
}

const FLOWS = {
  rtp_in: async (number) => {
    const { producer } = await spoken();
    const arrived = async () => (await producer.getStats())[0].packetCount;
    return sentIn(number, (sequence) => producer.send(packet(sequence)), arrived);
  },
  rtp_out: (number) => rtpThrough(number / FAN_OUT, FAN_OUT),
  rtp_both: (number) => rtpThrough(number, 1),
  data_in: async (number) => {
    const transport = await router.createDirectTransport();
    const dataProducer = await transport.produceData();
    const arrived = async () => (await dataProducer.getStats())[0].messagesReceived;
    return sentIn(number, () => dataProducer.send(MESSAGE), arrived);
  },
  data_out: (number) => dataThrough(number / FAN_OUT, FAN_OUT),
  data_both: (number) => dataThrough(number, 1),
};

async function run({ loop, number, inFlight }) {
  router = await worker.createRouter({ mediaCodecs: MEDIA });
  try {
    if (loop in FLOWS) return await FLOWS[loop](number);
    const operation = await OPERATIONS[loop]();
    const share = async (first) => {
      for (let index = first; index < number; index += inFlight) await operation(index);
    };
    return await measure(() => Promise.all(Array.from({ length: inFlight }, (_, first) => share(first))));
  } finally {
    router.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await run(JSON.parse(line))) + "\n");
}
worker.close();
