/** Functions that one event of `bench/fan` starts. */
export const FAN_OUT = 20;
/** Steps of `parallel`. */
export const PARALLEL = 50;
/** Steps of the endpoint without an SDK. */
export const RAW_STEPS = 10;
/** How long a call of the function with a limit for each key takes. */
export const KEYED_MS = 250;
