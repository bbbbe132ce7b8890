import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { programs } from '#testkit/services/programs.js';
import type { FoundRecord } from './kafka.log.js';

/** Lengths first: keys and values may hold anything. Headers go to the end of the line. */
const FORMAT = '%p %o %T %K %S\\n%k%s%h\\n';
const NEWLINE = 0x0a;

/** All that stands on a topic by now, partition by partition, as kcat prints it. */
export async function readByKcat(brokers: readonly string[], topic: string): Promise<readonly FoundRecord[]> {
  const printed = await kcat(['-C', '-b', brokers.join(','), '-t', topic, '-o', 'beginning', '-e', '-q', '-f', FORMAT]);
  const found: FoundRecord[] = [];
  for (let at = 0; at < printed.length;) {
    const head = printed.indexOf(NEWLINE, at);
    const [partition = 0, offset = 0, timestamp = 0, keyBytes = 0, valueBytes = 0] = printed
      .toString('utf8', at, head)
      .split(' ')
      .map(Number);
    const value = head + 1 + Math.max(0, keyBytes);
    const headers = value + Math.max(0, valueBytes);
    const end = printed.indexOf(NEWLINE, headers);
    found.push({
      topic,
      partition,
      offset,
      timestamp,
      key: printed.toString('utf8', head + 1, value),
      // kcat says NULL with a length of -1.
      value: valueBytes < 0 ? null : printed.subarray(value, headers),
      headers: headersIn(printed.toString('utf8', headers, end)),
    });
    at = end + 1;
  }
  return found.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** Produces one record as a shell would: its value from standard input. */
export async function sendByKcat(
  brokers: readonly string[],
  topic: string,
  { key, value, headers = {} }: { key: string; value: string; headers?: Readonly<Record<string, string>> },
): Promise<void> {
  const named = Object.entries(headers).flatMap(([name, text]) => ['-H', `${name}=${text}`]);
  // The default partitioner of librdkafka is another than that of Kafka's own clients.
  const partitioner = ['-X', 'topic.partitioner=murmur2_random'];
  await kcat(['-P', '-b', brokers.join(','), '-t', topic, '-k', key, ...partitioner, ...named], value);
}

async function kcat(args: readonly string[], input = ''): Promise<Buffer> {
  const child = spawn(programs('kcat').kcat, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const printed: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => printed.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`kcat ended with ${code}: ${Buffer.concat(complaints).toString()}`);
  return Buffer.concat(printed);
}

/** `a=1,b=2`; a comma in a text is told from one between headers by the name that follows. */
function headersIn(text: string): FoundRecord['headers'] {
  if (text === '') return [];
  return text.split(/,(?=[a-z_-]+=)/).map((header) => {
    const equals = header.indexOf('=');
    return [header.slice(0, equals), header.slice(equals + 1)];
  });
}
