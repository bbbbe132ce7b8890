/** A request to an app. Header names in lower case. */
export interface AppRequest {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly bodyBytesMax: number;
  readonly signal?: AbortSignal;
}

export interface AppReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Where the answer came from, after redirects. */
  readonly url: string;
}

/** Why there is no reply. */
export type AppErrorCode =
  | 'http_unreachable'
  | 'http_timeout'
  | 'http_reset'
  /** What came is not HTTP, or cannot be decoded. */
  | 'http_invalid'
  | 'output_too_large'
  | 'redirect_refused'
  | 'url_refused'
  | 'url_invalid';

export class AppUnreachable extends Error {
  constructor(
    readonly code: AppErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'AppUnreachable';
  }
}

/** Calls users' apps and the URLs that users name, through one guarded client. */
export abstract class AppTransport {
  /** @throws AppUnreachable */
  abstract send(request: AppRequest): Promise<AppReply>;
  /** A request that a function asked the server to make (`step.fetch`, `step.ai.infer`): any method, redirects followed. @throws AppUnreachable */
  abstract fetch(request: Omit<AppRequest, 'method'> & { readonly method: string }): Promise<AppReply>;
  abstract close(): Promise<void>;
}
