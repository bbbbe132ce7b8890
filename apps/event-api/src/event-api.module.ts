import { Module } from '@nestjs/common';
import { EventsController } from './events.controller.js';

/** Ingest over HTTP. */
@Module({ controllers: [EventsController] })
export class EventApiModule {}
