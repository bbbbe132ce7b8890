import type { BenchOptions } from './bench.options.ts';
import { both, recorded, stepsOf, verdictOf, type Verdict } from './ledger.ts';
import { circumstances, loadBefore, writePage } from './report.page.ts';
import { MB } from './row.ts';
import { eventsOf } from './sender.ts';
import { since } from './log.reading.ts';
import { Stage } from './stage.ts';
import { median } from './statistics.ts';

const SAMPLE = 1_000;
const BURST = 100;
const STEPS = 10;
/** Of every so many bursts one is of runs with steps. */
const STEPS_EVERY = 5;
/** Caches that are meant to be are full by then. */
const SETTLED_AFTER = 0.4;
/** Growth of the second half over the first, behind that, that is called flat: the collector's own leisure. */
const FLAT_SHARE = 0.1;

interface Sample {
  readonly runs: number;
  readonly rssMb: number;
  readonly historyMb: number;
  /** Of objects that are used, and of buffers; only after a forced collection. */
  readonly heapMb: number | undefined;
}

/** Many runs, one after the other, on one server: whether its memory stays as it is. @returns whether it does, and all effects are right */
export async function soak(runs: number, options: BenchOptions, say: (line: string) => void): Promise<boolean> {
  const stage = await Stage.open({ exposeGc: options.exposeGc });
  const samples: Sample[] = [];
  const load = loadBefore();
  let verdict: Verdict = { exact: true };
  try {
    const before = await stage.log();
    say('    runs   server MB   history MB   heap MB');
    for (let done = 0, bursts = 0; done < runs;) {
      for (let end = Math.min(runs, done + SAMPLE); done < end; bursts++) {
        const fn = bursts % STEPS_EVERY === 0 ? 'steps10-on' : 'noop';
        const numbers = stage.numbers(Math.min(BURST, end - done));
        await stage.sender.send(eventsOf(`bench/${fn}`, numbers));
        await stage.app.reached(fn, 'finished', numbers.length);
        const whats = fn === 'noop' ? ['finished'] : [...stepsOf(STEPS), 'finished'];
        const burst = verdictOf(await stage.marks(), [{ fn, numbers, whats }]);
        if (verdict.exact) verdict = burst;
        done += numbers.length;
      }
      await stage.quiet();
      const collected = options.exposeGc ? await stage.millrace.process('server').collected() : undefined;
      const { server, history } = stage.usage();
      const heapMb = collected && (collected.heapUsed + collected.external) / MB;
      const sample = {
        runs: done,
        rssMb: (server?.rssBytes ?? NaN) / MB,
        historyMb: (history?.rssBytes ?? NaN) / MB,
        heapMb,
      };
      samples.push(sample);
      say(lineOf(sample));
    }
    const log = since(before, await stage.log());
    const logBytesPerRun = log.bytes / runs;
    verdict = both(verdict, recorded(log, runs));
    const { flat, sentence } = judged(samples);
    const effects = verdict.exact ? 'Every event had exactly its effect.' : `Effects are wrong: ${verdict.defect}.`;
    const size = `The log took ${Math.round(logBytesPerRun).toLocaleString('en')} bytes a run (one in ${STEPS_EVERY} with ${STEPS} checkpointed steps, the others without any).`;
    say(`\n${sentence} ${effects} ${size}`);
    if (options.page !== undefined) {
      const page = [
        circumstances(load),
        `${runs.toLocaleString('en')} runs in bursts of ${BURST}. ${sentence} ${effects} ${size}`,
        tableOf(samples),
      ];
      writePage(options.page, 'soak', page.join('\n\n'));
    }
    return flat && verdict.exact;
  } finally {
    await stage.close();
  }
}

function lineOf({ runs, rssMb, historyMb, heapMb }: Sample): string {
  return `${String(runs).padStart(8)} ${rssMb.toFixed(0).padStart(11)} ${historyMb.toFixed(0).padStart(12)} ${(heapMb?.toFixed(1) ?? '').padStart(9)}`;
}

/** The heap after a collection says it best; without one, the memory that the system gave. */
function judged(samples: readonly Sample[]): { readonly flat: boolean; readonly sentence: string } {
  const of = (sample: Sample): number => sample.heapMb ?? sample.rssMb;
  const settled = samples.slice(Math.floor(samples.length * SETTLED_AFTER));
  const middle = settled.length >> 1;
  const [first, second] = [median(settled.slice(0, middle).map(of)), median(settled.slice(middle).map(of))];
  const what = samples.some(({ heapMb }) => heapMb !== undefined)
    ? 'heap after a forced collection'
    : 'resident memory';
  const flat = second <= first * (1 + FLAT_SHARE);
  const figures = `${what}, median ${first.toFixed(1)} MB, then ${second.toFixed(1)} MB in the second half of what came after the first ${SETTLED_AFTER * 100} %`;
  return { flat, sentence: `Memory is ${flat ? 'flat' : 'NOT flat'}: ${figures}.` };
}

function tableOf(samples: readonly Sample[]): string {
  const rows = samples.map(
    ({ runs, rssMb, historyMb, heapMb }) =>
      `| ${runs.toLocaleString('en')} | ${rssMb.toFixed(0)} | ${historyMb.toFixed(0)} | ${heapMb?.toFixed(1) ?? ''} |`,
  );
  return [
    '| runs | server RSS, MB | history engine RSS, MB | heap after collection, MB |',
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}
