import type { ConfigChange } from '#ports/control-plane.port.js';
import type { ControlPlaneTables } from './control-plane.tables.js';

export type Deliver = (changes: readonly ConfigChange[]) => Promise<void>;

/** The database of the control plane, brought up to its newest migration. */
export interface ControlPlaneStore {
  /** All that is read is of one instant. */
  read<T>(work: (tables: ControlPlaneTables) => Promise<T>): Promise<T>;
  /** One at a time, over all processes; sees what those before have written. */
  write<T>(work: (tables: ControlPlaneTables) => Promise<T>): Promise<T>;
  /** See `ControlPlane.relay`. @throws Undelivered */
  relay(limit: number, deliver: Deliver): Promise<number>;
  close(): Promise<void>;
}

/** `deliver` threw its cause: none of ours. */
export class Undelivered extends Error {
  static async unless(delivered: Promise<void>): Promise<void> {
    try {
      await delivered;
    } catch (cause) {
      throw new Undelivered('the changes were not delivered', { cause });
    }
  }
}
