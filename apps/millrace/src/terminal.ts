import type { PlacedTransition, RunTransition } from '#core/run/run.transitions.js';
import type { EpochMs } from '#core/words.js';
import type { ServerSettings } from '#platform/settings.js';
import type { Clock } from '#ports/clock.port.js';
import type { SyncResult } from '#ports/control-plane.port.js';
import type { ServerHooks } from './host.js';
import { countText, firstLine, lengthText, type Colors } from './text.js';

/** Where lines go: standard output is one. */
export interface LineSink {
  write(text: string): unknown;
  /** Written and not yet taken by whoever reads. */
  readonly writableLength: number;
}

export interface TerminalOptions {
  readonly version: string;
  readonly settings: ServerSettings;
  /** Addresses of this machine, for a server that listens on all. */
  readonly addresses?: readonly string[];
  readonly configFile?: string | undefined;
  readonly colors: Colors;
  readonly out: LineSink;
  readonly clock: Clock;
}

type Outcome = 'completed' | 'failed' | 'cancelled';

/** A run that has not ended, as far as a line about its end needs it. */
interface OpenRun {
  readonly slug: string;
  since: EpochMs;
  steps: number;
}

/** Runs that are remembered from start to end; of more, the oldest are told without name and time. */
const OPEN_RUNS_MAX = 20_000;
const WINDOW_MS = 1_000;
/** Lines about runs in a second; the last few are kept for what went wrong. */
const LINES_MAX = 20;
const COMPLETED_LINES_MAX = 15;
/** Nobody reads: say no more until somebody does. */
const UNREAD_CHARS_MAX = 1024 * 1024;

const CANCELLED_BY: Record<Extract<RunTransition, { type: 'RunCancelled' }>['by'], string> = {
  api: 'by request',
  event: 'by an event',
  function_paused: 'its function was paused',
  singleton: 'by a newer run',
  start_timeout: 'for it did not start in time',
  finish_timeout: 'for it did not finish in time',
};

/** What to do about a sync that failed, by its code. */
const FIXES: Readonly<Record<string, string>> = {
  unreachable: 'Is the app running, and is this the URL that it serves Inngest functions at?',
  url_not_found: 'Check the path: SDKs serve at /api/inngest unless told otherwise.',
  unauthorized: 'Give app and server the same INNGEST_SIGNING_KEY.',
  forbidden: 'Let the app take requests from this server.',
  invalid_signing_key: 'Give app and server the same INNGEST_SIGNING_KEY.',
  internal_server_error: 'See the log of the app.',
  invalid_function: 'Correct the function in the app; it is synced again at once.',
  sdk_version_denied: 'Upgrade the SDK in the app.',
};

/**
 * What a server says on its terminal: where it is, which apps it knows, how each run ended. Under a flood it sums up. With `json`, one
 * object a line, each with `type` and `at`, of the types listening, app_synced, app_sync_failed, run_ended, lines_dropped, stopped.
 */
export class Terminal implements ServerHooks {
  private readonly open = new Map<string, OpenRun>();
  private readonly syncErrors = new Map<string, string>();
  private readonly paint: Colors;
  private lines = 0;
  private untold: Record<Outcome, number> = { completed: 0, failed: 0, cancelled: 0 };
  private closeWindow: (() => void) | undefined;
  private dropped = 0;

  constructor(private readonly options: TerminalOptions) {
    this.paint = options.colors;
  }

  listening(url: string): void {
    const { version, settings, configFile } = this.options;
    if (settings.json) {
      const { mode, dataDir } = settings;
      return this.object('listening', { url, mode, version, data_dir: dataDir, pid: process.pid });
    }
    const { bold, dim, yellow, green } = this.paint;
    const dev = settings.mode === 'dev';
    const title = dev ? bold(yellow('DEV')) + dim(': no keys asked, not for production') : bold(green('start'));
    const rows: readonly (readonly [string, string])[] = [
      ['URL', bold(reachable(url))],
      ...networkUrls(url, this.options.addresses ?? []).map((other) => ['Network', other] as const),
      [
        'Data',
        settings.dataDir + (settings.dataDirTemporary ? dim(' (goes when the server stops; --persist keeps it)') : ''),
      ],
      ...(configFile === undefined ? [] : [['Config', configFile] as const]),
      ['Apps', this.appsText()],
    ];
    this.print(['', `${bold(`millrace ${version}`)}  ${title}`, ''].join('\n'));
    for (const [name, value] of rows) this.print(`  ${dim(name.padEnd(8))} ${value}`);
    if (dev && !isLoopback(settings.host)) {
      this.print(
        `\n  ${yellow('!')} Anybody who reaches ${settings.host} can run functions here: DEV asks for no keys.`,
      );
    }
    this.print('');
  }

  synced({ app, functions, archived }: SyncResult): void {
    this.syncErrors.delete(app.url);
    if (this.options.settings.json) {
      const { name, url, sdk } = app;
      return this.object('app_synced', { app: name, url, sdk, functions: functions.length, archived: archived.length });
    }
    const gone = archived.length === 0 ? '' : `, ${archived.length} gone`;
    const count = `${countText(functions.length, 'function')}${gone}`;
    this.print(
      `${this.paint.green('●')} app ${this.paint.bold(firstLine(app.name))} synced: ${count} ${this.paint.dim(firstLine(app.url))}`,
    );
  }

  /** An app is asked again and again: the same error is told once. */
  syncFailed(url: string, error: { readonly code: string; readonly message: string }): void {
    const told = `${error.code} ${error.message}`;
    if (this.syncErrors.get(url) === told) return;
    this.syncErrors.set(url, told);
    if (this.options.settings.json)
      return this.object('app_sync_failed', { url, code: error.code, error: error.message });
    const fix = Object.hasOwn(FIXES, error.code) ? FIXES[error.code] : undefined;
    this.print(`${this.paint.red('●')} ${firstLine(url)} not synced: ${firstLine(error.message, 500)}`);
    this.print(this.paint.dim(`    ${fix === undefined ? '' : `${fix} `}It is asked again until it answers.`));
  }

  transition({ runId, transition }: PlacedTransition): void {
    switch (transition.type) {
      case 'RunScheduled':
        return this.remember(runId, { slug: transition.functionSlug, since: transition.startAt, steps: 0 });
      case 'RunStarted': {
        const run = this.open.get(runId);
        if (run) run.since = transition.at;
        return;
      }
      case 'StepCompleted':
      case 'StepFailed': {
        const run = this.open.get(runId);
        if (run) run.steps++;
        return;
      }
      case 'RunCompleted':
        return this.ended(runId, 'completed', transition.at);
      case 'RunFailed':
        return this.ended(runId, 'failed', transition.at, { error: errorText(transition.fault) });
      case 'RunCancelled':
        return this.ended(runId, 'cancelled', transition.at, { by: transition.by });
      default:
        return; // The other transitions are for the page of the run.
    }
  }

  stopped(): void {
    this.sumUp();
    const { json, dataDir, dataDirTemporary } = this.options.settings;
    if (json) return this.object('stopped', {});
    this.print(
      this.paint.dim(
        dataDirTemporary ? 'Stopped.' : `Stopped. What was under way goes on when a server opens ${dataDir} again.`,
      ),
    );
  }

  private remember(runId: string, run: OpenRun): void {
    this.open.set(runId, run);
    if (this.open.size <= OPEN_RUNS_MAX) return;
    const [oldest] = this.open.keys();
    this.open.delete(oldest as string);
  }

  private ended(
    runId: string,
    outcome: Outcome,
    at: EpochMs,
    why: { readonly error?: string; readonly by?: keyof typeof CANCELLED_BY } = {},
  ): void {
    const run = this.open.get(runId);
    this.open.delete(runId);
    if (this.options.settings.json) {
      const times = run && { function: run.slug, duration_ms: Math.max(0, at - run.since), steps: run.steps };
      return this.object('run_ended', { run_id: runId, status: outcome, ...times, ...why }, at);
    }
    if (!this.mayPrint(outcome)) {
      this.untold[outcome]++;
      return;
    }
    const { bold, dim, green, red, yellow } = this.paint;
    const mark = { completed: green('✓'), failed: red('✗'), cancelled: yellow('■') }[outcome];
    const name = `${run ? bold(firstLine(run.slug)) : 'run'} ${dim(runId)}`;
    const took = run && lengthText(at - run.since);
    const steps = run && run.steps > 0 ? `, ${countText(run.steps, 'step')}` : '';
    const reason =
      why.error === undefined ? (why.by === undefined ? '' : ` ${CANCELLED_BY[why.by]}`) : `: ${red(why.error)}`;
    const when = took === undefined ? '' : ` ${outcome === 'completed' ? 'in' : 'after'} ${took}`;
    this.print(`${mark} ${name} ${outcome}${when}${steps}${reason}`);
  }

  /** Counts a line about a run against the second that it falls in. */
  private mayPrint(outcome: Outcome): boolean {
    const { clock } = this.options;
    this.closeWindow ??= clock.at(clock.now() + WINDOW_MS, () => this.sumUp());
    if (this.lines >= (outcome === 'completed' ? COMPLETED_LINES_MAX : LINES_MAX)) return false;
    this.lines++;
    return true;
  }

  /** Ends the second: says how many runs it had no lines for. */
  private sumUp(): void {
    this.closeWindow?.();
    this.closeWindow = undefined;
    this.lines = 0;
    const counts = Object.entries(this.untold).filter(([, count]) => count > 0);
    if (counts.length === 0) return;
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    const parts = counts.map(([outcome, count]) => `${count.toLocaleString('en-US')} ${outcome}`).join(', ');
    this.untold = { completed: 0, failed: 0, cancelled: 0 };
    this.print(
      this.paint.dim(
        `… and ${total.toLocaleString('en-US')} more ${total === 1 ? 'run' : 'runs'} in the last second: ${parts}`,
      ),
    );
  }

  private appsText(): string {
    const { appUrls, discovery } = this.options.settings;
    const looked = discovery && appUrls.length === 0 ? 'looking on the usual local ports; name one with -u' : '';
    return appUrls.join(', ') || looked || 'as they register themselves; name one with -u';
  }

  private object(type: string, fields: object, at: EpochMs = this.options.clock.now()): void {
    this.print(JSON.stringify({ type, at: new Date(at).toISOString(), ...fields }));
  }

  /** A reader that does not read must not fill our memory. */
  private print(line: string): void {
    const { out, settings, clock } = this.options;
    if (out.writableLength > UNREAD_CHARS_MAX) {
      this.dropped++;
      return;
    }
    if (this.dropped > 0) {
      const at = new Date(clock.now()).toISOString();
      const { dropped } = this;
      this.dropped = 0;
      out.write(
        settings.json
          ? `${JSON.stringify({ type: 'lines_dropped', at, count: dropped })}\n`
          : `… ${countText(dropped, 'line')} left out, for nobody took them\n`,
      );
    }
    out.write(`${line}\n`);
  }
}

function errorText({ name, message }: { readonly name: string; readonly message: string }): string {
  const line = firstLine(message);
  return line === '' ? firstLine(name) : `${firstLine(name)}: ${line}`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

const EVERYWHERE = /^(http:\/\/)(0\.0\.0\.0|\[::\])(:\d+)$/;

/** Nobody can open `0.0.0.0` in a browser. */
function reachable(url: string): string {
  return url.replace(EVERYWHERE, '$1localhost$3');
}

function networkUrls(url: string, addresses: readonly string[]): readonly string[] {
  return EVERYWHERE.test(url) ? addresses.map((address) => url.replace(EVERYWHERE, `$1${address}$3`)) : [];
}
