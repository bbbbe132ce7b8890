import { version } from '../version.js';
import { withOutputOptions, type Declare } from './command.context.js';
import { EXIT } from './failure.js';

export const declare: Declare = (command, { console }, end) => {
  withOutputOptions(command).action(() => {
    const { node } = process.versions;
    const { platform, arch } = process;
    console.result({ version, node, platform, arch }, ({ dim }) => [
      `millrace ${version} ${dim(`(Node ${node}, ${platform} ${arch})`)}`,
    ]);
    end(EXIT.ok);
  });
};
