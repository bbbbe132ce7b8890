import type { AppVersion, FunctionVersion } from '#core/function/function.config.js';
import type { Env } from '#core/words.js';
import { Catalog } from '#ports/catalog.port.js';
import type { EventLog, PlacedRecord, Subscription } from '#ports/event-log.port.js';

type Listener = (now: FunctionVersion, before: FunctionVersion | undefined) => void;

/** The catalog as a fold of the `config` topic, read from its start. Keys are `app:<id>` and `function:<id>`. */
export class LogCatalog extends Catalog {
  private readonly byId = new Map<string, FunctionVersion>();
  private readonly bySlug = new Map<string, FunctionVersion>();
  private readonly appById = new Map<string, AppVersion>();
  private readonly listeners = new Set<Listener>();
  private readonly waiting: { readonly offset: number; readonly tell: () => void }[] = [];
  private nextOffset = 0;
  private subscription: Subscription | undefined;

  constructor(private readonly log: EventLog) {
    super();
  }

  async open(): Promise<void> {
    this.subscription = await this.log.subscribe('config', undefined, (batch) => this.take(batch));
    await this.caughtUp();
  }

  async close(): Promise<void> {
    await this.subscription?.close();
  }

  override function(id: string): FunctionVersion | undefined {
    return this.byId.get(id);
  }

  override resolve(env: Env, ref: string): FunctionVersion | undefined {
    const fn = this.bySlug.get(`${env} ${ref}`) ?? this.byId.get(ref);
    return fn && fn.env === env && fn.archivedAt === undefined ? fn : undefined;
  }

  override functions(env: Env): readonly FunctionVersion[] {
    return this.allFunctions().filter((fn) => fn.env === env);
  }

  override allFunctions(): readonly FunctionVersion[] {
    return [...this.byId.values()].filter((fn) => fn.archivedAt === undefined);
  }

  override app(id: string): AppVersion | undefined {
    return this.appById.get(id);
  }

  override apps(env: Env): readonly AppVersion[] {
    return [...this.appById.values()].filter((app) => app.env === env && app.archivedAt === undefined);
  }

  override revision(): number {
    return this.nextOffset;
  }

  override onChange(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  override async reached(revision: number): Promise<void> {
    // A revision of another log may never come: all that there is will do.
    if (this.nextOffset < revision) await this.caughtUp();
  }

  override async caughtUp(): Promise<void> {
    const [end] = await this.log.ends('config');
    if (!end || this.nextOffset >= end.offset) return;
    // A trimmed or compacted tail may leave the end without a record: what is readable is what there is.
    const rest = await this.log.read('config', { partition: end.partition, offset: this.nextOffset }, 1);
    // It may have come here while that was read: then nobody comes by any more who would tell.
    if (rest.length === 0 || this.nextOffset >= end.offset) return;
    await new Promise<void>((tell) => this.waiting.push({ offset: end.offset, tell }));
  }

  private take(batch: readonly PlacedRecord[]): void {
    for (const record of batch) {
      this.nextOffset = record.position.offset + 1;
      const id = record.key.slice(record.key.indexOf(':') + 1);
      if (record.type === 'App') this.takeApp(id, record.body as AppVersion | undefined);
      else if (record.type === 'Function') this.takeFunction(id, record.body as FunctionVersion | undefined);
    }
    const told = this.waiting.filter(({ offset }) => offset <= this.nextOffset);
    for (const waiter of told) {
      this.waiting.splice(this.waiting.indexOf(waiter), 1);
      waiter.tell();
    }
  }

  private takeApp(key: string, app: AppVersion | undefined): void {
    if (app) this.appById.set(key, app);
    else this.appById.delete(key);
  }

  private takeFunction(key: string, now: FunctionVersion | undefined): void {
    const before = this.byId.get(key);
    const slug = (fn: FunctionVersion) => `${fn.env} ${fn.config.slug}`;
    if (before && this.bySlug.get(slug(before)) === before) this.bySlug.delete(slug(before));
    if (now) {
      this.byId.set(key, now);
      if (now.archivedAt === undefined || !this.bySlug.has(slug(now))) this.bySlug.set(slug(now), now);
      for (const listener of this.listeners) listener(now, before);
    } else this.byId.delete(key);
  }
}
