import { inject } from 'vitest';
import { Api } from '../harness/api.client.js';
import { AppLog, type Variant } from '../harness/sdk-app.process.js';
import { Stage } from '../harness/stage.js';

export { VARIANTS } from './world.apps.js';

/** A shared app of a variant on the shared server. */
export function stageOf(variant: Variant, id: string = variant): Stage {
  const { serverUrl, appsUrls } = inject('world');
  return new Stage(variant, new Api(serverUrl), new AppLog(appsUrls[variant]), id);
}
