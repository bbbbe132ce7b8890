import { now } from './clock.ts';

/** One execution in an app: of which function, for which event, of what (`entered`, `finished` or a step), and when. */
export type Mark = readonly [fn: string, n: number, what: string, at: number];

/** What the driver asks of an app. Every question is answered with its id. */
export type Question =
  /** Answered once `what` of `fn` has been marked `count` times since the marks were taken last. */
  | { readonly id: number; readonly kind: 'watch'; readonly fn: string; readonly what: string; readonly count: number }
  /** Answered with all marks, which are forgotten. */
  | { readonly id: number; readonly kind: 'take' }
  /** Answered with how often `what` of `fn` has been marked since. */
  | { readonly id: number; readonly kind: 'count'; readonly fn: string; readonly what: string };

export type Answer = { readonly id: number; readonly result?: unknown };

interface Watch {
  readonly id: number;
  readonly key: string;
  readonly count: number;
}

/** Keeps, in an app, what was executed; and tells the driver, over the channel between them. */
export class Recorder {
  private marks: Mark[] = [];
  private readonly counts = new Map<string, number>();
  private watches: Watch[] = [];

  constructor() {
    process.on('message', (question: Question) => this.take(question));
    process.on('disconnect', () => process.exit(0));
  }

  /** The app is up. */
  ready(port: number): void {
    send({ id: 0, result: port });
  }

  mark(fn: string, n: number, what: string): void {
    this.marks.push([fn, n, what, now()]);
    const key = `${fn}/${what}`;
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, count);
    if (this.watches.length === 0) return;
    const reached = this.watches.filter((watch) => watch.key === key && watch.count <= count);
    if (reached.length === 0) return;
    this.watches = this.watches.filter((watch) => !reached.includes(watch));
    for (const { id } of reached) send({ id });
  }

  private take(question: Question): void {
    const { id } = question;
    if (question.kind === 'take') {
      send({ id, result: this.marks });
      this.marks = [];
      this.counts.clear();
      return;
    }
    const key = `${question.fn}/${question.what}`;
    const count = this.counts.get(key) ?? 0;
    if (question.kind === 'count') send({ id, result: count });
    else if (count >= question.count) send({ id });
    else this.watches.push({ id, key, count: question.count });
  }
}

function send(answer: Answer): void {
  process.send?.(answer);
}
