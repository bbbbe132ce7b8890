import { randomUUID } from 'node:crypto';
import type { Api, EventToSend, RunView } from './api.client.js';
import { until } from './until.js';
import type { AppLog, Entry, Match, Variant } from './sdk-app.process.js';

/** An app as a story sees it. */
export class Stage {
  constructor(
    readonly variant: Variant,
    readonly api: Api,
    readonly log: AppLog,
    /** Of the app. */
    readonly id: string = variant,
  ) {}

  get checkpoints(): boolean {
    return this.variant === 'v4';
  }

  get isV3(): boolean {
    return this.variant === 'v3';
  }

  /** The app's own name of an event. */
  event(name: string): string {
    return `${this.id}/${name}`;
  }

  emit(name: string, data: object = {}, more: Omit<EventToSend, 'name' | 'data'> = {}): Promise<string> {
    return this.api.emit(this.event(name), data, more);
  }

  /** Sends events of one name in one request. @returns their internal ids, in order */
  async emitAll(name: string, all: readonly object[]): Promise<readonly string[]> {
    const { status, body } = await this.api.send(all.map((data) => ({ name: this.event(name), data })));
    if (status !== 200) throw new Error(`events ${name} refused: ${status} ${JSON.stringify(body)}`);
    return body.ids;
  }

  /** Sends an event, and waits until something is decided about it: what is sent afterwards comes behind it, whoever takes it. */
  async admit(name: string, data: object = {}, more: Omit<EventToSend, 'name' | 'data'> = {}): Promise<string> {
    const id = await this.emit(name, data, more);
    await until(async () => ((await this.api.decisions(id)).length > 0 ? true : undefined), {
      what: `a decision about event ${id}`,
    });
    return id;
  }

  /** Sends an event that starts one run, and waits until the app is called for it. */
  async start(name: string, data: object = {}, more: Omit<EventToSend, 'name' | 'data'> = {}): Promise<Story> {
    const key = randomUUID();
    const eventId = await this.emit(name, { ...data, key }, more);
    const [call] = await this.log.wait({ kind: 'call', app: this.id, key, eventName: this.event(name) });
    return new Story(this, key, eventId, (call as Entry).runId);
  }

  /** Sends an event that starts one run, and waits until that has ended. */
  async play(name: string, data: object = {}, more: Omit<EventToSend, 'name' | 'data'> = {}): Promise<Played> {
    const story = await this.start(name, data, more);
    return Object.assign(story, { run: await story.ended() });
  }
}

export type Played = Story & { readonly run: RunView };

/** A run of an app. */
export class Story {
  constructor(
    private readonly stage: Stage,
    readonly key: string,
    readonly eventId: string,
    readonly runId: string,
  ) {}

  ended(): Promise<RunView> {
    return this.stage.api.ended(this.runId);
  }

  waiting(step: string): Promise<RunView> {
    return this.stage.api.waiting(this.runId, step);
  }

  /** Once something has happened in the function `count` times. */
  happened(name: string, count = 1): Promise<readonly Entry[]> {
    return this.stage.log.wait({ kind: 'did', runId: this.runId, name }, count);
  }

  /** How often something has happened in the function. */
  async times(name: string): Promise<number> {
    return (await this.stage.log.seen({ kind: 'did', runId: this.runId, name })).length;
  }

  /** The calls that came for it. */
  calls(match: Match = {}): Promise<readonly Entry[]> {
    return this.stage.log.seen({ kind: 'call', runId: this.runId, ...match });
  }

  answers(match: Match = {}): Promise<readonly Entry[]> {
    return this.stage.log.seen({ kind: 'answer', runId: this.runId, ...match });
  }

  open(gate: string): Promise<void> {
    return this.stage.log.open(`${this.key} ${gate}`);
  }
}
