// What this browser can send and receive of what the server can.
import { Device } from 'mediasoup-client';
import type { Api } from './api';
import { asError } from './errors';

/** Throws VoiceplaneError. */
export async function loadedDevice(api: Api): Promise<Device> {
  const { rtpCapabilities } = await api.request<{ rtpCapabilities: never }>('GET', 'rtc/capabilities');
  try {
    const device = await Device.factory();
    await device.load({ routerRtpCapabilities: rtpCapabilities });
    return device;
  } catch (error) {
    throw asError(error, 'BROWSER_UNSUPPORTED');
  }
}
