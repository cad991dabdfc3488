// How a call went, as far as that is known here.
import type { CallSummary } from './call-events';
import type { CallRecord } from './wire';

export function summaryOf(record: CallRecord): CallSummary {
  const { endReason, durationSeconds, billedPoints, connectedAt } = record;
  return {
    reason: endReason ?? 'unknown',
    durationSeconds,
    totalChargedPoints: billedPoints,
    wasConnected: connectedAt !== null,
  };
}

export function unknownEnd(reason: string): CallSummary {
  return { reason, durationSeconds: null, totalChargedPoints: null, wasConnected: null };
}
