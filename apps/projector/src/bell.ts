/** Tells whoever waits that something changed; what, they look up themselves. */
export class Bell {
  private next = Promise.withResolvers<void>();

  ring(): void {
    const { resolve } = this.next;
    this.next = Promise.withResolvers<void>();
    resolve();
  }

  /** Resolves with the next ring. */
  heard(): Promise<void> {
    return this.next.promise;
  }
}
