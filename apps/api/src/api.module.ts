import { Module } from '@nestjs/common';
import { CheckpointController } from './checkpoint/checkpoint.controller.js';
import { EventsController } from './events/events.controller.js';
import { FunctionsController } from './functions/functions.controller.js';
import { RunMetadataController, RunStateController } from './run-state.controller.js';
import { RunsController } from './runs/runs.controller.js';
import { RunsService } from './runs/runs.service.js';
import { ServerController } from './server.controller.js';
import { SignalsController } from './signals.controller.js';
import { RegisterController } from './sync/register.controller.js';

/** REST for people and what SDKs call, over the ports that the host provides. */
@Module({
  controllers: [
    CheckpointController,
    EventsController,
    FunctionsController,
    RegisterController,
    RunMetadataController,
    RunStateController,
    RunsController,
    ServerController,
    SignalsController,
  ],
  providers: [RunsService],
})
export class ApiModule {}
