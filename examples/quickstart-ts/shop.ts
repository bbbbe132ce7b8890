import { Inngest, NonRetriableError, cron, eventType, staticSchema } from 'inngest';

// Where events go and functions come from: INNGEST_DEV=http://127.0.0.1:8288 in the environment.
export const client = new Inngest({ id: 'quickstart' });

interface Order extends Record<string, unknown> {
  readonly orderId: string;
  readonly item: string;
  readonly quantity: number;
}

/** A customer has ordered something. */
export const orderPlaced = eventType('quickstart/order.placed', { schema: staticSchema<Order>() });

/** The money for an order has come. */
export const orderPaid = eventType('quickstart/order.paid', {
  schema: staticSchema<{ orderId: string; amount: number }>(),
});

/** A parcel wants its label. */
export const labelWanted = eventType('quickstart/label.wanted', {
  schema: staticSchema<{ parcel: string; printer: string }>(),
});

/** What the shop sells: the price of one, in cents. */
const PRICES: Readonly<Record<string, number>> = { 'coffee mug': 1_250, teapot: 3_900 };

/**
 * An order from its placement to its shipment. Each step runs once and its result is kept: when this process or the server dies in between,
 * the function goes on behind the last step that was done.
 */
const processOrder = client.createFunction(
  {
    id: 'process-order',
    name: 'Process an order',
    triggers: [orderPlaced],
    retries: 3,
    // Called once all attempts have failed, or one has with a NonRetriableError.
    onFailure: async ({ event, error, step }) => {
      const { orderId } = event.data.event.data as Order;
      await step.run('apologize', () => `Sorry, ${orderId} cannot be delivered: ${error.message}`);
    },
  },
  async ({ event, step }) => {
    const { orderId, item, quantity } = event.data;

    const total = await step.run('check the order', () => {
      const price = PRICES[item];
      // Trying again would not help: the run fails at once, and the failure handler is called.
      if (price === undefined) throw new NonRetriableError(`we do not sell a ${item}`);
      return price * quantity;
    });

    // Two steps at the same time.
    const [shelf, invoice] = await Promise.all([
      step.run('reserve the stock', () => ({ shelf: 'B7', quantity })),
      step.run('write the invoice', () => ({ number: `2026-${orderId}`, total })),
    ]);

    // No process waits meanwhile: this could be a month.
    await step.sleep('let the ink dry', '1s');

    // The first event of this name with the same orderId; null when none has come in time.
    const paid = await step.waitForEvent('payment', { event: orderPaid, match: 'data.orderId', timeout: '30m' });
    if (!paid || paid.data.amount < total) {
      await step.run('put the stock back', () => shelf);
      return { orderId, status: 'cancelled', invoice: invoice.number };
    }

    const parcel = await step.run('ship it', () => ({
      parcel: `parcel with ${quantity} x ${item} from shelf ${shelf.shelf}`,
    }));
    return { orderId, status: 'shipped', invoice: invoice.number, ...parcel };
  },
);

/** Every morning at seven in Berlin, whatever the clocks do. */
const morningReport = client.createFunction(
  { id: 'morning-report', name: 'Morning report', triggers: [cron('TZ=Europe/Berlin 0 7 * * *')] },
  async ({ step }) => step.run('count the mugs', () => ({ mugs: 41, at: new Date().toISOString() })),
);

/** Each printer prints one label at a time; those for another printer do not wait for it. */
const printLabel = client.createFunction(
  {
    id: 'print-label',
    name: 'Print a label',
    triggers: [labelWanted],
    concurrency: { limit: 1, key: 'event.data.printer' },
  },
  async ({ event, step }) => {
    const { parcel, printer } = event.data;
    return step.run('print', async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return `${parcel} by the ${printer}`;
    });
  },
);

export const functions = [processOrder, morningReport, printLabel];
