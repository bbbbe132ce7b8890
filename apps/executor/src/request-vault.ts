import type { Json } from '#core/words.js';
import { shownRequest } from '#protocol/gateway.request.js';

const BYTES_MAX = 256 * 1024 * 1024;

/**
 * Requests that functions want the server to make, until they are made. They may carry keys, so they stay in memory; the log gets what may be
 * shown. What is lost here (a restart, another executor) the function is asked for once more.
 */
export class RequestVault {
  private readonly requests = new Map<string, Json>();
  private size = 0;

  /** @returns what may be logged and shown: no keys, neither in headers nor in the URL */
  keep(runId: string, stepId: string, request: Json): Json {
    const key = `${runId}.${stepId}`;
    this.drop(key);
    this.requests.set(key, request);
    this.size += request.length;
    for (const oldest of this.requests.keys()) {
      if (this.size <= BYTES_MAX) break;
      this.drop(oldest);
    }
    return shownRequest(request);
  }

  find(runId: string, stepId: string): Json | undefined {
    return this.requests.get(`${runId}.${stepId}`);
  }

  forget(runId: string, stepId: string): void {
    this.drop(`${runId}.${stepId}`);
  }

  private drop(key: string): void {
    const known = this.requests.get(key);
    if (known === undefined) return;
    this.size -= known.length;
    this.requests.delete(key);
  }
}
