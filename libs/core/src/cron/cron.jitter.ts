import { createHash } from 'node:crypto';
import type { EpochMs } from '../words.js';

/** The least that jitter adds. */
const LEAST_MS = 1_000;

/**
 * How long after its scheduled time an occurrence fires: in [1 s, jitter), the same for the same occurrence whoever asks; 1 s for a jitter of
 * 1 s; 0 without jitter. Contract: semantics 5.2.
 */
export function jitterOf(functionId: string, cron: string, scheduledAt: EpochMs, jitterMs: number | undefined): number {
  if (!jitterMs) return 0;
  const dice = createHash('sha256')
    .update(JSON.stringify([functionId, cron, scheduledAt]))
    .digest()
    .readUIntBE(0, 6);
  return LEAST_MS + (dice % Math.max(1, jitterMs - LEAST_MS));
}
