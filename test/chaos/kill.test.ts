import { setTimeout as pause } from 'node:timers/promises';
import { it } from 'vitest';
import { Server } from '../harness/server.process.js';
import { storiesIn } from './log.stories.js';
import { OrdersApp } from './orders.app.js';
import { dice, Orders } from './orders.js';

/** How often the server is killed; CI kills more often than `npm test`. */
const KILLS = Number(process.env['MILLRACE_KILLS'] ?? 8);
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1_000_000);

it(`loses and doubles nothing over ${KILLS} kills (seed ${SEED})`, { timeout: KILLS * 15_000 + 180_000 }, async () => {
  const roll = dice(SEED);
  await using server = await Server.start({ flags: { 'retry-interval': 1 } });
  await using app = await OrdersApp.start(server.url);
  const orders = new Orders(() => server.url);

  for (let round = 0; round <= KILLS; round++) {
    const under = orders.round();
    if (round < KILLS) {
      await pause(50 + roll() * 2_500);
      await server.kill();
      await server.start();
    }
    await under;
  }
  await orders.finish(150_000);
  const executed = await app.executed();
  await server.stop();

  orders.judge(await storiesIn(server.dataDir), executed);
});
