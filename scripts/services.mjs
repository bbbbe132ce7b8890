// `node scripts/services.mjs up | down | status`: the services that tests share, in the background of this machine.
import './source.hooks.mjs';

if (!process.features.typescript) {
  console.error('services: needs Node 24, which is in node_modules/.bin: npm run services -- up');
  process.exit(1);
}

const { up, down, status } = await import('../libs/testkit/src/services/background.services.ts');

const commands = {
  up: async () => show(await up()),
  down: async () => await down(),
  status: async () => {
    const urls = await status();
    if (urls) show(urls);
    else {
      console.log('not running');
      process.exitCode = 1;
    }
  },
};

function show(urls) {
  for (const [name, url] of Object.entries(urls)) console.log(`${name}: ${url}`);
}

const command = commands[process.argv[2]];
if (!command) {
  console.error('usage: node scripts/services.mjs up | down | status');
  process.exit(1);
}
await command();
