import type { StoredEvent } from '#core/event/event.js';
import { eventFields } from './parts.js';
import { recordTypeOf } from './record.type.js';
import { field, json } from './shape.js';

export const EVENTS = [
  recordTypeOf<StoredEvent>()('events', 'Event', 'An event as it was taken in.', {
    ...eventFields,
    payload: field(
      json,
      'The event as functions see it: `{"data":{},"id":"","name":"","ts":0,"user":{}}`, with `v` and `meta` when given.',
    ),
  }),
];
