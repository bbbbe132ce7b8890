import { platformJobsContract } from '#testkit/contracts/platform-jobs.contract.js';
import { ManualClock } from '#testkit/manual-clock.js';
import { MemoryPlatformJobs } from './memory-platform-jobs.js';

platformJobsContract('in process', (logger) => {
  const clock = new ManualClock();
  const jobs = new MemoryPlatformJobs(clock, logger);
  return Promise.resolve({
    jobs,
    now: () => clock.now(),
    pass: () => clock.turn(100),
    everyMs: 60_000,
    dispose: () => jobs.close(),
  });
});
