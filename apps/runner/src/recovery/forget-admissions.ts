import type { Admission } from '#core/admission/admission.js';
import type { EpochMs } from '#core/words.js';
import type { AggregateStore } from '#ports/aggregate-store.port.js';
import type { Addressed, Letterbox } from '#ports/letterbox.port.js';
import { ADMISSION } from '../desk/rooms.js';

const PAGE = 500;

/** Asks each control of a partition whose time is over to be forgotten; whether it may be is decided in log order. */
export async function forgetAdmissions(
  store: AggregateStore,
  partition: number,
  letterbox: Letterbox,
  at: EpochMs,
): Promise<void> {
  let commands: Addressed[] = [];
  for await (const { id: key, state } of store.active({ space: ADMISSION, partition })) {
    // What stands for something has no such field: a batch need not be read for that.
    if (state === null || !state.includes('"until":')) continue;
    const { env, functionId, until = Infinity } = JSON.parse(state) as Admission;
    if (until > at) continue;
    commands.push({ key, command: { type: 'ForgetAdmission', env, functionId, key, at } });
    if (commands.length === PAGE) {
      await letterbox.post(commands);
      commands = [];
    }
  }
  await letterbox.post(commands);
}
