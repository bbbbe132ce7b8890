import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtOnce, runProgram } from './built.once.js';
import { freePort } from './free.port.js';
import { programs } from './programs.js';
import { serviceFolder, ServiceProcess, type ServiceOptions } from './service.process.js';

const SOURCE = fileURLToPath(new URL('./schema-registry', import.meta.url));

/** A schema registry with Confluent's API. It calls every schema compatible: what is compatible is for our own checks to say. */
export class SchemaRegistryServer extends ServiceProcess {
  readonly port: number;

  private constructor(port: number, folder: string, program: string, options: ServiceOptions) {
    super(
      {
        name: 'schema registry',
        command: program,
        args: [`127.0.0.1:${port}`, join(folder, 'journal')],
        folder,
        answers: () => schemaRegistryAnswers(urlOf(port)),
      },
      options,
    );
    this.port = port;
  }

  static async launch(options: ServiceOptions = {}): Promise<SchemaRegistryServer> {
    const program = join(await built(), 'schema-registry');
    const registry = new SchemaRegistryServer(await freePort(), await serviceFolder('schemas'), program, options);
    await registry.start();
    return registry;
  }

  get url(): string {
    return urlOf(this.port);
  }
}

/** @throws when the registry at this URL does not list its subjects */
export async function schemaRegistryAnswers(url: string): Promise<void> {
  const response = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(await response.text());
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** The folder of the program, made of its source once. */
function built(): Promise<string> {
  const sources = ['main.go', 'go.mod', 'go.sum'].map((file) => join(SOURCE, file));
  return builtOnce('schema-registry', sources, async (folder) => {
    await runProgram(programs('go').go, ['build', '-buildvcs=false', '-trimpath', '-o', folder, '.'], { cwd: SOURCE });
  });
}
