import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib';
import { AppUnreachable } from '#ports/app-transport.port.js';

/** So many chunks are joined at a time: a body that drips in byte by byte must not cost a hundred times its size. */
const CHUNKS_MAX = 256;

/** The bytes of a reply as they come, up to a bound. */
export class BodyBuffer {
  private chunks: Buffer[] = [];
  private readonly blocks: Buffer[] = [];
  private bytes = 0;

  constructor(private readonly bytesMax: number) {}

  /** @throws AppUnreachable output_too_large */
  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.bytes > this.bytesMax) throw tooLarge(this.bytesMax);
    this.chunks.push(chunk);
    if (this.chunks.length < CHUNKS_MAX) return;
    this.blocks.push(Buffer.concat(this.chunks));
    this.chunks = [];
  }

  whole(): Buffer {
    const [only] = this.chunks;
    return this.blocks.length === 0 && this.chunks.length === 1 && only
      ? only
      : Buffer.concat([...this.blocks, ...this.chunks]);
  }
}

export function tooLarge(bytesMax: number): AppUnreachable {
  return new AppUnreachable('output_too_large', `The reply is larger than ${bytesMax} bytes`);
}

type Decoder = (body: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  br: promisify(brotliDecompress),
  // Servers disagree on whether this name means the bare format; its first byte tells.
  deflate: (body, options) => ((body[0] ?? 0) % 16 === 8 ? promisify(inflate) : promisify(inflateRaw))(body, options),
};
/** More are nested by nobody who means well. */
const ENCODINGS_MAX = 3;

/**
 * The text of a body, its `Content-Encoding` undone. An encoding that we did not ask for and do not know is left as it is.
 * @throws AppUnreachable output_too_large for what unpacks to more than it may; http_invalid for what does not unpack
 */
export async function textOf(body: Buffer, encodings: string | undefined, bytesMax: number): Promise<string> {
  const names = (encodings ?? '').split(',').flatMap((name) => name.trim().toLowerCase() || []);
  let decoded = body;
  if (body.length > 0 && names.length <= ENCODINGS_MAX) {
    for (const name of names.reverse()) {
      const decode = DECODERS[name];
      if (!decode) break;
      decoded = await unpacked(decode, decoded, name, bytesMax);
    }
  }
  return decoded.toString('utf8');
}

async function unpacked(decode: Decoder, body: Buffer, name: string, bytesMax: number): Promise<Buffer> {
  try {
    return await decode(body, { maxOutputLength: Math.max(1, bytesMax) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(bytesMax);
    throw new AppUnreachable('http_invalid', `Your server's reply says that it is ${name}, and is not`, {
      cause: error,
    });
  }
}
