/** Structured logs: data first, then a sentence. pino fits. Data holds ids and sizes, never payloads or secrets. */
export interface Logger {
  debug(data: object, sentence: string): void;
  info(data: object, sentence: string): void;
  warn(data: object, sentence: string): void;
  error(data: object, sentence: string): void;
}
