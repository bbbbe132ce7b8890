import { randomBytes } from 'node:crypto';
import { withOutputOptions, type Declare } from './command.context.js';
import { EXIT } from './failure.js';

const HELP = `
Give both to the server (\`millrace start\`) and to the apps. The output can be sourced by a shell, or kept as an .env file:
  millrace keygen > .env`;

export const declare: Declare = (command, { console }, end) => {
  withOutputOptions(command)
    .addHelpText('after', HELP)
    .action(() => {
      const eventKey = randomBytes(16).toString('hex');
      // Of even length, for SDKs decode it.
      const signingKey = `signkey-prod-${randomBytes(32).toString('hex')}`;
      console.result({ event_key: eventKey, signing_key: signingKey }, () => [
        `INNGEST_EVENT_KEY=${eventKey}`,
        `INNGEST_SIGNING_KEY=${signingKey}`,
      ]);
      end(EXIT.ok);
    });
};
