/** Lets the calls of one number go one after another, in the order in which they come; one that fails stops none behind it. */
export class Turns {
  private readonly last = new Map<number, Promise<unknown>>();

  take<T>(number: number, work: () => Promise<T>): Promise<T> {
    const turn = (this.last.get(number) ?? Promise.resolve()).then(work, work);
    this.last.set(number, turn);
    const leave = (): void => {
      if (this.last.get(number) === turn) this.last.delete(number);
    };
    turn.then(leave, leave);
    return turn;
  }
}
