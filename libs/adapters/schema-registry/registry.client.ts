import { Fault } from '#core/faults.js';

const ANSWER_MS_MAX = 10_000;
const TYPE = 'application/vnd.schemaregistry.v1+json';
const NOT_FOUND = 404;

/** The two things that we want of a Confluent-compatible schema registry, over its REST interface. */
export class RegistryClient {
  private readonly base: string;
  private readonly authorization: string | undefined;

  /** @param url of the registry; a user and a password in it go as basic authentication */
  constructor(url: string) {
    const { origin, pathname, username, password } = new URL(url);
    this.base = origin + pathname.replace(/\/+$/, '');
    const given = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    this.authorization = username === '' ? undefined : `Basic ${Buffer.from(given).toString('base64')}`;
  }

  /**
   * Makes sure that a subject has the schema. Doing it again is harmless.
   * @returns the schema's id
   * @throws settings_invalid when the registry does not take it; log_unavailable when it does not answer
   */
  async register(subject: string, schema: object): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions`;
    const { status, body } = await this.ask(path, { schema: JSON.stringify(schema) });
    const { id, message } = body as { id?: unknown; message?: unknown };
    if (status < 300 && typeof id === 'number') return id;
    const said = typeof message === 'string' ? message : `status ${status}`;
    throw new Fault(
      'settings_invalid',
      { subject, status },
      { message: `The schema registry does not take ${subject}: ${said}` },
    );
  }

  /** @returns the text of the schema; undefined where there is none of the id @throws log_unavailable when the registry does not tell */
  async schema(id: number): Promise<string | undefined> {
    const { status, body } = await this.ask(`/schemas/ids/${id}`);
    const { schema } = body as { schema?: unknown };
    if (status < 300 && typeof schema === 'string') return schema;
    if (status === NOT_FOUND) return undefined;
    throw away(new Error(`schema ${id}: status ${status}`));
  }

  private async ask(path: string, body?: object): Promise<{ readonly status: number; readonly body: object }> {
    try {
      const answer = await fetch(this.base + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          accept: TYPE,
          ...(body === undefined ? {} : { 'content-type': TYPE }),
          ...(this.authorization === undefined ? {} : { authorization: this.authorization }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      const { status } = answer;
      // It may come to itself again.
      if (status >= 500 || status === 429) throw new Error(`status ${status}`);
      const value: unknown = await answer.json();
      return { status, body: typeof value === 'object' && value !== null ? value : {} };
    } catch (error) {
      throw away(error);
    }
  }
}

function away(cause: unknown): Fault {
  return new Fault('log_unavailable', { service: 'schema registry' }, { cause });
}
