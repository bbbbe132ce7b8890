// Lets Node 24 load our TypeScript as it lies there: an import of `./x.js` finds `./x.ts`.
import * as modules from 'node:module';

modules.registerHooks?.({
  resolve(specifier, context, next) {
    try {
      return next(specifier, context);
    } catch (error) {
      if (!specifier.endsWith('.js')) throw error;
      return next(`${specifier.slice(0, -3)}.ts`, context);
    }
  },
});
