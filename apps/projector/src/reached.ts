import type { Position } from '#core/words.js';
import { PROJECTED, type ProjectedTopic } from './gathered.js';

/** Of each topic and partition, the first position that History does not have. */
export class Reached {
  private readonly offsets: Readonly<Record<ProjectedTopic, Map<number, number>>> = {
    events: new Map(),
    transitions: new Map(),
  };

  /** Undefined where it is not known. */
  get(topic: ProjectedTopic, partition: number): Position | undefined {
    const offset = this.offsets[topic].get(partition);
    return offset === undefined ? undefined : { partition, offset };
  }

  /** The beginning where nothing is known. */
  from(topic: ProjectedTopic, partition: number): Position {
    return this.get(topic, partition) ?? { partition, offset: 0 };
  }

  set(topic: ProjectedTopic, { partition, offset }: Position): void {
    this.offsets[topic].set(partition, offset);
  }

  /** All that is known of a topic. */
  of(topic: ProjectedTopic): readonly Position[] {
    return [...this.offsets[topic]].map(([partition, offset]) => ({ partition, offset }));
  }

  /** Of what is known of a topic, the first that a store with these positions does not have. */
  lostBy(topic: ProjectedTopic, positions: readonly Position[]): Position | undefined {
    const offsets = new Map(positions.map(({ partition, offset }) => [partition, offset]));
    return this.of(topic).find(({ partition, offset }) => offset > (offsets.get(partition) ?? 0));
  }

  forget(partition: number): void {
    for (const topic of PROJECTED) this.offsets[topic].delete(partition);
  }

  clear(): void {
    for (const topic of PROJECTED) this.offsets[topic].clear();
  }
}
