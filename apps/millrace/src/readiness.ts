import { Fault } from '#core/faults.js';
import type { Clock } from '#ports/clock.port.js';
import type { Logger } from '#ports/logger.port.js';

/** Looks whether something can be done; rejects, or says why not. */
export type Check = () => Promise<string | undefined> | string | undefined;

/** What a process cannot do yet, or not at the moment. */
export interface Lacking {
  readonly name: string;
  readonly reason: string;
}

/** A check that takes longer has failed, ms. */
const CHECK_MS_MAX = 2_000;
/** However often it is asked, it is looked so often at most, ms. */
const FRESH_MS = 500;
/** Anybody may ask: what an error says beyond its sentence is for the log. */
const FAILED = 'it failed: see the log of the process';

/** Whether this process can do its work. */
export class Readiness {
  private readonly checks = new Map<string, Check>();
  private isDraining = false;
  private looked: { readonly at: number; readonly found: Promise<readonly Lacking[]> } | undefined;
  /** What the log knows to be lacking. */
  private told = '';

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  add(name: string, check: Check): void {
    this.checks.set(name, check);
  }

  /** From now on it is not ready any more: it takes no new work. */
  drain(): void {
    this.isDraining = true;
  }

  /** Empty: it is ready. */
  async lacking(): Promise<readonly Lacking[]> {
    if (this.isDraining) return [{ name: 'draining', reason: 'the process is about to end' }];
    const now = this.clock.now();
    if (!this.looked || now - this.looked.at >= FRESH_MS) this.looked = { at: now, found: this.look() };
    return this.looked.found;
  }

  private async look(): Promise<readonly Lacking[]> {
    const looks = await Promise.all([...this.checks].map(([name, check]) => this.lookAt(name, check)));
    const found = looks.filter((one) => one !== undefined);
    this.tell(found);
    return found.map(({ name, reason }) => ({ name, reason }));
  }

  /** Only when something else is lacking than before. */
  private tell(found: readonly (Lacking & { readonly error?: unknown })[]): void {
    const names = found.map(({ name }) => name).join(', ');
    if (names === this.told) return;
    this.told = names;
    const error = found.find((one) => one.error !== undefined)?.error;
    if (names === '') this.logger.info({}, 'ready again');
    else this.logger.warn({ waitingFor: names, ...(error === undefined ? {} : { err: error }) }, 'not ready');
  }

  private async lookAt(name: string, check: Check): Promise<(Lacking & { readonly error?: unknown }) | undefined> {
    const late = Promise.withResolvers<string>();
    const cancel = this.clock.at(this.clock.now() + CHECK_MS_MAX, () => late.resolve('no answer in time'));
    try {
      const reason = await Promise.race([check(), late.promise]);
      return reason === undefined ? undefined : { name, reason };
    } catch (error) {
      return { name, reason: error instanceof Fault ? error.message : FAILED, error };
    } finally {
      cancel();
    }
  }
}
