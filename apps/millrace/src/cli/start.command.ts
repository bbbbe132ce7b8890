import { declareServer } from './server.command.js';

export const declare = declareServer('start');
