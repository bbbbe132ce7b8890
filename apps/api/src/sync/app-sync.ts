import { Fault } from '#core/faults.js';
import type { Access } from '#ports/access.port.js';
import { AppUnreachable, type AppReply, type AppTransport } from '#ports/app-transport.port.js';
import type { Clock } from '#ports/clock.port.js';
import type { ControlPlane, SyncRequest, SyncResult } from '#ports/control-plane.port.js';
import { HEADER, isFromSdk } from '#protocol/headers.js';
import { sign, verifySignature } from '#protocol/signing.js';
import type { ConfigRelay } from './config-relay.js';

const PING_MS = 10_000;
const PING_BYTES_MAX = 8 * 1024 * 1024;

/** Hears of syncs: the terminal does. */
export interface SyncListener {
  synced(result: SyncResult): void;
  syncFailed(url: string, error: SyncError): void;
}

export interface SyncError {
  readonly code: string;
  readonly message: string;
}

/** What reads an app's payload: `/fn/register`, or the in-band answer. @throws app_invalid and others of the caller */
export type ReadSync = (
  payload: unknown,
  method: SyncRequest['method'],
  fallbackUrl?: string,
) => Omit<SyncRequest, 'env'>;

/** Makes apps known: takes what SDKs register, and asks apps to do so. */
export class AppSync {
  constructor(
    private readonly controlPlane: ControlPlane,
    private readonly relay: ConfigRelay,
    private readonly transport: AppTransport,
    private readonly access: Access,
    private readonly clock: Clock,
    private readonly read: ReadSync,
    private readonly listener: SyncListener,
  ) {}

  /** Takes an app's payload; resolves when the data plane knows it. @throws app_invalid, app_id_missing, ... */
  async register(payload: unknown, fallbackUrl?: string): Promise<SyncResult> {
    const request = this.read(payload, 'SERVE', fallbackUrl);
    const result = await this.controlPlane.sync({ ...request, env: this.access.env });
    await this.relay.flush();
    if (result.modified) this.listener.synced(result);
    return result;
  }

  /**
   * Asks the app at a URL to sync: http.md sections 5 and 7. With keys it is asked in-band, without it registers by itself.
   * @returns why it is not synced; undefined when it is
   */
  async ping(url: string): Promise<SyncError | undefined> {
    const error = await this.put(url);
    if (error) {
      await this.controlPlane.syncFailed(this.access.env, url, error);
      await this.relay.flush();
      this.listener.syncFailed(url, error);
    }
    return error;
  }

  private async put(url: string): Promise<SyncError | undefined> {
    const { kind, signingKeys } = this.access;
    const key = signingKeys[0];
    const body = JSON.stringify({ url });
    const headers: Record<string, string> = { [HEADER.contentType]: 'application/json', [HEADER.serverKind]: kind };
    if (key !== undefined) {
      headers[HEADER.signature] = sign(body, key, this.clock.now());
      headers[HEADER.syncKind] = 'in_band';
    }
    let reply: AppReply;
    try {
      reply = await this.transport.send({
        method: 'PUT',
        url,
        headers,
        body,
        timeoutMs: PING_MS,
        bodyBytesMax: PING_BYTES_MAX,
      });
    } catch (error) {
      if (error instanceof AppUnreachable) return { code: 'unreachable', message: error.message };
      throw error;
    }
    if (reply.status !== 200 || !isFromSdk(reply.headers)) return refusal(reply);
    return reply.headers[HEADER.syncKind] === 'in_band' ? this.inBand(url, reply) : undefined;
  }

  /** The answer is the payload; it must be signed. */
  private async inBand(url: string, reply: AppReply): Promise<SyncError | undefined> {
    const { signingKeys } = this.access;
    const signature = reply.headers[HEADER.signature];
    if (
      signingKeys.length > 0 &&
      (signature === undefined || !verifySignature(signature, reply.body, signingKeys, this.clock.now()).ok)
    ) {
      return {
        code: 'invalid_signing_key',
        message: 'The answer of the app is not signed with the key of this server.',
      };
    }
    try {
      await this.register(JSON.parse(reply.body), url);
      return undefined;
    } catch (error) {
      if (error instanceof Fault && error.blame === 'caller')
        return { code: 'invalid_function', message: error.message };
      if (error instanceof SyntaxError)
        return { code: 'invalid_function', message: 'The answer of the app is not JSON.' };
      throw error;
    }
  }
}

function refusal({ status, headers, body }: AppReply): SyncError {
  const message = messageIn(body);
  if (!isFromSdk(headers)) {
    if (status === 404) return { code: 'url_not_found', message: 'There is nothing at this URL (404).' };
    return { code: 'unreachable', message: `The answer (status ${status}) did not come from an Inngest SDK.` };
  }
  if (status === 401)
    return { code: 'unauthorized', message: message ?? 'The app refused the request: do the signing keys agree?' };
  if (status === 403) return { code: 'forbidden', message: message ?? 'The app refused the request.' };
  return { code: 'internal_server_error', message: message ?? `The app answered with status ${status}.` };
}

function messageIn(body: string): string | undefined {
  try {
    const { message, error } = JSON.parse(body) as { message?: unknown; error?: unknown };
    const text = typeof message === 'string' ? message : error;
    return typeof text === 'string' ? text.slice(0, 1_000) : undefined;
  } catch {
    return undefined; // Not JSON: there is no message in it.
  }
}
