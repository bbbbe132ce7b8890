import { Ids } from '#ports/ids.port.js';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** Ids that are the same in every run of a test. */
export class SeededIds extends Ids {
  private count = 0;

  constructor(private readonly seed = 1) {
    super();
  }

  override ulid(): string {
    let rest = ++this.count;
    let text = '';
    for (let i = 0; i < 16; i++) {
      text = (ALPHABET[rest % 32] ?? '0') + text;
      rest = Math.floor(rest / 32);
    }
    return `01KE0000${String(this.seed).padStart(2, '0')}` + text;
  }

  override uuid(): string {
    return `00000000-0000-4000-8000-${(++this.count).toString(16).padStart(12, '0')}`;
  }

  override dice(): number {
    this.count = (this.count * 1103515245 + 12345) % 2147483648;
    return this.count / 2147483648;
  }
}
