import { Fault } from '#core/faults.js';

/**
 * Whether the stores of a partition are not what their user has built on: they have lost what they held, or another has served the partition
 * meanwhile. What the user holds in memory does not count then: the partition is to be opened anew.
 */
export function mustReopen(error: unknown): boolean {
  return error instanceof Fault && (error.code === 'state_lost' || error.code === 'position_stale');
}
