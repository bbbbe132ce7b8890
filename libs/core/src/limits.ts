/** The numbers of the contract, section 2. Bytes are of UTF-8 text; lengths of time in ms. */
const KB = 1024;
const MB = 1024 * KB;
const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;

export const LIMITS = {
  eventBytesMax: 3 * MB,
  eventsPerRequestMax: 5_000,
  eventNameCharsMaxV2: 512,
  eventTsMin: Date.UTC(1980, 0, 1),
  eventTsMax: Date.UTC(2100, 0, 1),
  sessionsPerEventMax: 5,
  sessionKeyBytesMax: 128,
  sessionIdBytesMax: 512,
  jsonDepthMax: 500,
  triggersPerFunctionMax: 10,
  cancelOnMax: 5,
  stepConcurrencyMax: 2,
  fnConcurrencyMax: 1,
  cronCharsMax: 255,
  retriesDefault: 4,
  retriesMax: 20,
  retryDelayMinMs: SECOND,
  retryDelayMaxMs: DAY,
  stepsPerRunMax: 1_000,
  plannedPerReplyMax: 1_000,
  runStateBytesMax: 32 * MB,
  stepOutputBytesMax: 4 * MB,
  stepInputBytesMax: 4 * MB,
  replyBytesMax: 8 * MB,
  callBodyBytesMax: 4 * MB,
  callMsMax: 2 * 60 * 60 * SECOND,
  waitMsMax: 366 * DAY,
  cancelWatchMsDefault: 365 * DAY,
  invokeMsDefault: 365 * DAY,
  signalMsDefault: 365 * DAY,
  concurrencyDefault: 1_000,
  redirectsMax: 60,
  idempotencyMs: DAY,
  defersPerRunMax: 20,
  deferInputBytesMax: 4 * MB,
} as const;
