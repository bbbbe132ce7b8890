import { pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alterUserScramCredentialsV0, Connection } from '@platformatic/kafka';
import { beforeAll, describe, expect, it } from 'vitest';
import { KafkaCluster } from '#testkit/services/kafka.service.js';
import { programs } from '#testkit/services/programs.js';
import { runProgram } from '#testkit/services/built.once.js';
import { services } from '#testkit/services/services.js';
import build from '../harness/build.setup.js';
import { Child } from '../harness/child.process.js';
import { useServices } from '../harness/cluster.names.js';
import { root } from '../harness/root.path.js';
import { done, RawApp } from '../harness/raw-app.js';
import { Server } from '../harness/server.process.js';

/** Brokers that ask for TLS and a password, and have a certificate of an authority of their own. */
const USER = 'millrace';
const PASSWORD = 'pa ss, w=rd';
const MECHANISMS = { 'SCRAM-SHA-256': 1, 'SCRAM-SHA-512': 2 } as const;

let folder: string;
let kafka: KafkaCluster;
const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  build();
  folder = await mkdtemp(join(tmpdir(), 'millrace-tls-'));
  await authority('ours');
  await authority('others');
  await keystore('ours');
  kafka = await KafkaCluster.launch({ secure: { keystore: file('broker.pem'), users: { [USER]: PASSWORD } } });
  await addScramUser();
  useServices({ ...services(), kafkaBrokers: kafka.brokers });
  return async () => {
    await kafka[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  };
});

const openssl = (...args: readonly string[]): Promise<void> => runProgram(programs('openssl').openssl, args);

async function authority(name: string): Promise<void> {
  const subject = ['-subj', `/CN=${name}`, '-days', '2'];
  await openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file(`${name}.key`), '-out', file(`${name}.crt`)],
    ...subject,
  );
}

/** The brokers' key, and a certificate for the address that they tell their clients. */
async function keystore(by: string): Promise<void> {
  await writeFile(file('names'), 'subjectAltName=IP:127.0.0.1\n');
  const [key, request, certificate] = [file('broker.key'), file('broker.csr'), file('broker.crt')];
  await openssl(
    ...['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', request, '-subj', '/CN=broker'],
  );
  const signer = ['-CA', file(`${by}.crt`), '-CAkey', file(`${by}.key`), '-CAcreateserial'];
  await openssl(
    ...['x509', '-req', '-in', request, ...signer, '-days', '2', '-extfile', file('names'), '-out', certificate],
  );
  await writeFile(file('broker.pem'), `${await readFile(key, 'utf8')}${await readFile(certificate, 'utf8')}`);
}

async function addScramUser(): Promise<void> {
  const [host = '', port = ''] = kafka.brokers[0]?.split(':') ?? [];
  const connection = new Connection('test');
  await connection.connect(host, Number(port));
  const iterations = 4_096;
  for (const [name, mechanism] of Object.entries(MECHANISMS)) {
    const salt = randomBytes(16);
    const [bytes, hash] = name === 'SCRAM-SHA-256' ? [32, 'sha256'] : [64, 'sha512'];
    const saltedPassword = pbkdf2Sync(PASSWORD, salt, iterations, Number(bytes), String(hash));
    const credential = { name: USER, mechanism, iterations, salt, saltedPassword };
    // A request takes a user once.
    await alterUserScramCredentialsV0.api.async(connection, [], [credential]);
  }
  await connection.close();
}

const settings = (more: Readonly<Record<string, string>> = {}): Record<string, string> => ({
  MILLRACE_KAFKA_USERNAME: USER,
  MILLRACE_KAFKA_PASSWORD: PASSWORD,
  ...more,
  MILLRACE_KAFKA_TLS_CA: file(more['MILLRACE_KAFKA_TLS_CA'] ?? 'ours.crt'),
});

it.each(['PLAIN', ...Object.keys(MECHANISMS)])('a cluster works over TLS and %s', async (mechanism) => {
  await using server = await Server.start({
    flags: { 'kafka-brokers': kafka.nodes.map(({ secureAddress }) => secureAddress) },
    env: settings({ MILLRACE_KAFKA_SASL_MECHANISM: mechanism }),
  });
  await using app = await RawApp.start(server.api);
  await app.add('f', () => done('done'));
  expect((await app.play('f')).run).toMatchObject({ status: 'Completed', output: 'done' });
});

describe('a server that is not let in ends, and says why', () => {
  const refused = /^error: Kafka refuses the user: SASL authentication failed/m;
  const WRONG: Readonly<Record<string, readonly [Readonly<Record<string, string>>, RegExp]>> = {
    'a wrong password': [{ MILLRACE_KAFKA_PASSWORD: 'wrong' }, refused],
    'a wrong password, by SCRAM': [
      { MILLRACE_KAFKA_PASSWORD: 'wrong', MILLRACE_KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512' },
      refused,
    ],
    'another user': [{ MILLRACE_KAFKA_USERNAME: 'stranger' }, refused],
    'an authority that did not sign the certificate': [
      { MILLRACE_KAFKA_TLS_CA: 'others.crt' },
      /^error: The certificate of a Kafka broker is not to be trusted: /m,
    ],
    'a file of authorities that is not there': [
      { MILLRACE_KAFKA_TLS_CA: 'none.crt' },
      /^error: The file of kafka-tls-ca cannot be read: .*none\.crt/m,
    ],
  };

  it.each(Object.keys(WRONG))('with %s', async (what) => {
    const [more, reason] = WRONG[what] as (typeof WRONG)[string];
    const { code, output } = await ended(settings(more));
    expect(output).toMatch(reason);
    expect(output).not.toContain(PASSWORD);
    expect(code).toBe(2);
  });

  it('without TLS', async () => {
    const { MILLRACE_KAFKA_TLS_CA: _, ...plain } = settings();
    const { code, output } = await ended(plain);
    expect(output).toMatch(/^error: The log cannot be written right now/m);
    expect(code).toBe(1);
  });

  async function ended(env: Readonly<Record<string, string>>) {
    const brokers = ['--kafka-brokers', kafka.nodes[0]?.secureAddress ?? ''];
    const server = Child.run({
      name: 'server',
      script: join(root, 'bin/millrace.js'),
      args: ['dev', '--port', '0', '--no-discovery', ...brokers],
      env,
      cwd: folder,
    });
    const code = await server.ended;
    return { code, output: server.output };
  }
});
