/** Who acts next: see docs/errors.md, which is made from this table. */
export type Blame = 'caller' | 'race' | 'dependency' | 'us';

interface FaultRow {
  readonly blame: Blame;
  /** HTTP status of an answer that carries it. */
  readonly status: number;
  readonly sentence: string;
}

const rows = {
  body_unreadable: { blame: 'caller', status: 400, sentence: 'The request body is not valid JSON.' },
  body_too_large: { blame: 'caller', status: 413, sentence: 'The request body is larger than this server accepts.' },
  body_too_deep: { blame: 'caller', status: 400, sentence: 'The request body nests deeper than this server accepts.' },
  event_body_invalid: {
    blame: 'caller',
    status: 400,
    sentence: 'Request body must contain an event object or an array of event objects',
  },
  event_invalid: { blame: 'caller', status: 400, sentence: 'The event is not valid.' },
  event_name_empty: { blame: 'caller', status: 400, sentence: 'event name is empty' },
  event_name_too_long: { blame: 'caller', status: 400, sentence: 'The event name is too long.' },
  event_name_reserved: { blame: 'caller', status: 400, sentence: 'event name is reserved for internal use' },
  event_ts_out_of_range: { blame: 'caller', status: 400, sentence: 'The event timestamp is out of range.' },
  event_too_large: { blame: 'caller', status: 400, sentence: 'Event is over the max size' },
  events_too_many: { blame: 'caller', status: 400, sentence: 'A request may carry 5,000 events at most.' },
  event_key_unknown: { blame: 'caller', status: 401, sentence: 'Event key not found' },
  event_keys_missing: {
    blame: 'caller',
    status: 503,
    sentence: 'This server requires event keys, and none are configured.',
  },
  unauthorized: { blame: 'caller', status: 401, sentence: 'Authentication failed' },
  request_invalid: { blame: 'caller', status: 400, sentence: 'The request is not valid.' },
  route_unknown: { blame: 'caller', status: 404, sentence: 'There is no such route.' },
  method_not_allowed: { blame: 'caller', status: 405, sentence: 'This route does not take this method.' },
  event_unknown: { blame: 'caller', status: 404, sentence: 'Event not found' },
  run_unknown: { blame: 'caller', status: 404, sentence: 'Unable to load function run' },
  run_id_invalid: { blame: 'caller', status: 400, sentence: 'The run ID specified is invalid' },
  run_ended: { blame: 'caller', status: 410, sentence: 'runtime state is no longer available for runID' },
  signal_unknown: { blame: 'caller', status: 404, sentence: 'No signal found' },
  function_unknown: { blame: 'caller', status: 404, sentence: 'Function not found' },
  app_unknown: { blame: 'caller', status: 404, sentence: 'App not found' },
  app_invalid: { blame: 'caller', status: 400, sentence: 'At least one function is invalid' },
  app_id_missing: { blame: 'caller', status: 400, sentence: 'App ID required' },
  server_kind_mismatch: { blame: 'caller', status: 400, sentence: 'The SDK expects another kind of server.' },
  sdk_version_denied: { blame: 'caller', status: 400, sentence: 'This SDK version has a known fault; upgrade it.' },
  checkpoint_refused: { blame: 'caller', status: 400, sentence: 'cannot checkpoint async steps' },
  checkpoint_stale: { blame: 'race', status: 409, sentence: 'Another dispatch owns this work item.' },
  checkpoint_too_large: { blame: 'caller', status: 413, sentence: 'The run or a step would exceed its size limit.' },
  expression_invalid: { blame: 'caller', status: 400, sentence: 'The expression does not compile.' },
  settings_invalid: { blame: 'caller', status: 400, sentence: 'The settings are not valid.' },
  lease_lost: { blame: 'race', status: 409, sentence: 'The lease of this work item is no longer held.' },
  position_stale: { blame: 'race', status: 409, sentence: 'The store already reflects a later position.' },
  log_unavailable: { blame: 'dependency', status: 503, sentence: 'The log cannot be written right now; try again.' },
  state_unavailable: { blame: 'dependency', status: 503, sentence: 'The state store is not available right now.' },
  state_evicts: {
    blame: 'caller',
    status: 503,
    sentence: 'Redis may drop keys by itself: its maxmemory-policy must be noeviction.',
  },
  state_lost: { blame: 'race', status: 503, sentence: 'The state store has lost what it held; it is made again.' },
  history_unavailable: { blame: 'dependency', status: 503, sentence: 'History is not available right now.' },
  control_plane_unavailable: {
    blame: 'dependency',
    status: 503,
    sentence: 'The control plane is not available right now.',
  },
  data_dir_in_use: { blame: 'caller', status: 409, sentence: 'Another Millrace process uses this data folder.' },
  data_dir_unusable: { blame: 'caller', status: 409, sentence: 'The data folder, or a file in it, cannot be used.' },
  data_dir_newer: {
    blame: 'caller',
    status: 409,
    sentence: 'The data folder was written by a newer version of Millrace.',
  },
  position_unknown: {
    blame: 'caller',
    status: 409,
    sentence: 'The log does not reach this position: it stems from another log.',
  },
  overloaded: { blame: 'dependency', status: 503, sentence: 'The server is at its limit; try again.' },
  record_unreadable: { blame: 'us', status: 500, sentence: 'A record cannot be decoded or folded.' },
  internal: { blame: 'us', status: 500, sentence: 'Something went wrong on our side.' },
} as const satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof rows;
export const FAULTS: Readonly<Record<FaultCode, FaultRow>> = rows;

/** An error with a code of the table. `data` holds ids and sizes, never payloads or secrets. */
export class Fault extends Error {
  readonly blame: Blame;
  readonly status: number;

  constructor(
    readonly code: FaultCode,
    readonly data: Readonly<Record<string, unknown>> = {},
    options: { cause?: unknown; message?: string } = {},
  ) {
    super(options.message ?? FAULTS[code].sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.blame = FAULTS[code].blame;
    this.status = FAULTS[code].status;
  }
}
