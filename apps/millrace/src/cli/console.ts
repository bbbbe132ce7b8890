import { colorsFor, type Colors } from '../text.js';
import { EXIT, Failure } from './failure.js';

/** Version of the shapes that `--json` prints. Fields may be added under the same one. */
const SCHEMA = 1;

interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** What a command prints: results on standard output, all else on standard error. */
export class Console {
  private readonly outColors: Colors;
  private readonly errColors: Colors;
  private progressLength = 0;

  constructor(
    private readonly out: Stream,
    private readonly err: Stream,
    private readonly env: NodeJS.ProcessEnv,
    readonly json: boolean,
    color: boolean,
  ) {
    this.outColors = colorsFor(out, env, color);
    this.errColors = colorsFor(err, env, color);
  }

  get colors(): Colors {
    return this.outColors;
  }

  /** The result of the command, in the form that was asked for. */
  result(shape: Readonly<Record<string, unknown>>, lines: (colors: Colors) => readonly string[]): void {
    if (this.json) this.out.write(`${JSON.stringify({ schema: SCHEMA, ...shape })}\n`);
    else for (const line of lines(this.outColors)) this.out.write(`${line}\n`);
  }

  /** A part of the result, for people, as it comes. */
  line(text: string): void {
    this.clearProgress();
    if (!this.json) this.out.write(`${text}\n`);
  }

  note(text: string): void {
    this.clearProgress();
    this.err.write(`${this.errColors.dim(text)}\n`);
  }

  /** Somebody reads what is not the result. */
  get attended(): boolean {
    return this.err.isTTY === true;
  }

  question(text: string): void {
    this.clearProgress();
    this.err.write(text);
  }

  /** A line that the next one writes over; only where a person looks on. */
  progress(text: string): void {
    if (this.err.isTTY !== true || this.env['CI']) return;
    this.err.write(`\r${text.padEnd(this.progressLength)}`);
    this.progressLength = text.length;
  }

  /** @returns the exit code */
  failure(error: unknown): number {
    this.clearProgress();
    const failure = error instanceof Failure ? error : unexpected(error);
    const { why, next, code } = failure.details;
    if (this.json) {
      const shape = {
        schema: SCHEMA,
        error: failure.message,
        code: code ?? 'failed',
        why: why ?? null,
        next: next ?? null,
      };
      this.err.write(`${JSON.stringify(shape)}\n`);
      return failure.exit;
    }
    const { red, dim } = this.errColors;
    this.err.write(`${red('error:')} ${failure.message}\n`);
    if (why) this.err.write(`${dim('  why: ')} ${why}\n`);
    if (next) this.err.write(`${dim('  next:')} ${next}\n`);
    return failure.exit;
  }

  private clearProgress(): void {
    if (this.progressLength > 0) this.err.write(`\r${' '.repeat(this.progressLength)}\r`);
    this.progressLength = 0;
  }
}

function unexpected(error: unknown): Failure {
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Failure(EXIT.failed, 'Something went wrong in the command itself.', { why, code: 'internal' }, error);
}
