// Loaded into the server for a soak: collects garbage when it is asked to and says what is left.
process.on('message', (message) => {
  if (message !== 'collect') return;
  globalThis.gc?.();
  process.send?.(process.memoryUsage());
});
process.channel?.unref();
