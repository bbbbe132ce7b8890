import { join, resolve } from 'node:path';

/** The checkout that these tests stand in. */
export const checkout = resolve(import.meta.dirname, '../..');

/** The installation under test: this checkout, unless E2E_ROOT names another (one that is built). */
export const root = process.env['E2E_ROOT'] ?? checkout;

export const harness = join(checkout, 'test/harness');
