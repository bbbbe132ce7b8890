import { appTransportContract } from '#testkit/contracts/app-transport.contract.js';
import { UndiciTransport } from './undici-transport.js';

appTransportContract('UndiciTransport', ({ allowPrivate }) => new UndiciTransport({ apps: { allowPrivate } }));
