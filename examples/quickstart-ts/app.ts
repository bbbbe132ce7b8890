// The shop as a server of its own: `npm start`.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from 'inngest/node';
import { client, functions } from './shop.ts';

const server = createServer(serve({ client, functions }));
server.listen(Number(process.env['PORT'] ?? 3000), () => {
  const { port } = server.address() as AddressInfo;
  console.log(`The shop answers on http://localhost:${port}/api/inngest`);
});
