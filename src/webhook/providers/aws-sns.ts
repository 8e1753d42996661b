import { Item } from '../item.ts';
import { isAmazons } from '../verify/sns.ts';
import { provider, type Shape } from './preset.ts';

/** https://docs.aws.amazon.com/sms-voice/latest/userguide/phone-numbers-two-way-sms.html */
const sms: Shape = {
  fits: (item) => item.has('originationNumber') && item.has('inboundMessageId', 'messageBody'),
  sender: 'originationNumber',
  recipient: 'destinationNumber',
  text: 'messageBody',
  id: 'inboundMessageId',
  sent_at: 'Timestamp',
};

/** Two-way SMS over a topic. It calls its JSON text. */
export const awsSns = provider({
  sender: 'phone',
  credentials: 'topic_arn',
  types: ['text/plain', 'application/json'],
  handshake: (item) => {
    const url = item.text('SubscribeURL') ?? '';
    return item.is('Type', 'SubscriptionConfirmation') && isAmazons(url) ? { confirm: url } : undefined;
  },
  // What was said is JSON in a text; beside it stands when.
  split: (payload) => {
    const { Timestamp = null } = payload.data;
    const said = new Item(payload.unwrapped('Message')).data;
    return [payload.is('Type', 'Notification') ? new Item({ ...said, Timestamp }) : new Item({})];
  },
  shapes: [sms],
});
