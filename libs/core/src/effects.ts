import type { AdmissionCommand } from './admission/admission.js';
import type { StoredEvent } from './event/event.js';
import type { CronCommand } from './cron/cron.aggregate.js';
import type { RunCommand } from './run/run.commands.js';
import type { SignalCommand } from './signal/signal.js';

/** Everything that may stand on `commands`. */
export type Command = RunCommand | SignalCommand | CronCommand | AdmissionCommand;

/** What follows from a transition beyond what is owed: records that go to the log together with it. Its ids are derived, so twice is once. */
export type Effect =
  | { readonly kind: 'event'; readonly event: StoredEvent }
  | { readonly kind: 'command'; readonly key: string; readonly command: Command };
