import { awsSns } from './aws-sns.ts';
import { bandwidth } from './bandwidth.ts';
import { bird } from './bird.ts';
import { cf7 } from './cf7.ts';
import { exotel } from './exotel.ts';
import { form } from './form.ts';
import { formspree } from './formspree.ts';
import { generic } from './generic.ts';
import { googleForms } from './google-forms.ts';
import { gravityforms } from './gravityforms.ts';
import { gupshup } from './gupshup.ts';
import { hubspot } from './hubspot.ts';
import { infobip } from './infobip.ts';
import { intercom } from './intercom.ts';
import { jotform } from './jotform.ts';
import { kaleyra } from './kaleyra.ts';
import { line } from './line.ts';
import { messagebird } from './messagebird.ts';
import { messenger } from './messenger.ts';
import { msg91 } from './msg91.ts';
import { netlify } from './netlify.ts';
import { plivo } from './plivo.ts';
import type { Provider } from './provider.ts';
import { sinch } from './sinch.ts';
import { slack } from './slack.ts';
import { tally } from './tally.ts';
import { telegram } from './telegram.ts';
import { telnyx } from './telnyx.ts';
import { twilio } from './twilio.ts';
import { typeform } from './typeform.ts';
import { viber } from './viber.ts';
import { vonage } from './vonage.ts';
import { webflow } from './webflow.ts';
import { whatsappCloud } from './whatsapp-cloud.ts';
import { wpforms } from './wpforms.ts';

/** Every kind of sender system that a channel may name as its `provider`. */
export const providers: Readonly<Record<string, Provider>> = {
  generic,
  form,
  'aws-sns': awsSns,
  bandwidth,
  bird,
  cf7,
  exotel,
  formspree,
  'google-forms': googleForms,
  gravityforms,
  gupshup,
  hubspot,
  infobip,
  intercom,
  jotform,
  kaleyra,
  line,
  messagebird,
  messenger,
  msg91,
  netlify,
  plivo,
  sinch,
  slack,
  tally,
  telegram,
  telnyx,
  twilio,
  typeform,
  viber,
  vonage,
  webflow,
  'whatsapp-cloud': whatsappCloud,
  wpforms,
};
