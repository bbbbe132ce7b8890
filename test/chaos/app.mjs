// An app whose executions are counted by step: what a driver was acknowledged is compared with what was really done.
import { createServer as createHttp } from 'node:http';
import { Inngest } from 'inngest';
import { createServer } from 'inngest/node';

const inngest = new Inngest({ id: 'chaos', ...(process.env.CHECKPOINTING === 'off' ? { checkpointing: false } : {}) });

/** By `<n>/<step>`: how often its body ran. By n: how often the function returned, and what. */
const executed = new Map();
const returned = new Map();
const ran = (n, step) => {
  const key = `${n}/${step}`;
  executed.set(key, (executed.get(key) ?? 0) + 1);
  return { n, step };
};

const work = inngest.createFunction(
  { id: 'work', triggers: [{ event: 'chaos/work' }], cancelOn: [{ event: 'chaos/cancel', match: 'data.n' }] },
  async ({ event, step }) => {
    const { n } = event.data;
    await step.run('first', () => ran(n, 'first'));
    await Promise.all([step.run('left', () => ran(n, 'left')), step.run('right', () => ran(n, 'right'))]);
    await step.sleep('nap', '1s');
    const told = await step.waitForEvent('told', { event: 'chaos/tell', match: 'data.n', timeout: '10m' });
    const child = await step.invoke('child', { function: small, data: { n } });
    await step.run('last', () => ran(n, 'last'));
    const result = { n, told: told?.data.n ?? null, child };
    returned.set(n, [...(returned.get(n) ?? []), result]);
    return result;
  },
);

const small = inngest.createFunction({ id: 'small', triggers: [{ event: 'chaos/small' }] }, async ({ event, step }) =>
  step.run('only', () => ran(event.data.n, 'only')),
);

createServer({ client: inngest, functions: [work, small] }).listen(Number(process.env.PORT));
createHttp((_request, response) => {
  response.end(JSON.stringify({ executed: [...executed], returned: [...returned] }));
}).listen(Number(process.env.REPORT_PORT), '127.0.0.1', () => process.stdout.write('ready\n'));
