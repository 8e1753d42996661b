import { stripe } from '../verify/hmac.ts';
import type { RawRequest, Scheme } from '../verify/request.ts';
import { answered } from './answers.ts';
import { provider } from './preset.ts';

const FORM = 'application/x-www-form-urlencoded';

/** As Stripe signs, but for a name. Of a body in FORM format not the bytes are signed, but what PHP writes as JSON of it. */
const scheme: Scheme = (secrets) => {
  const check = stripe('X-WPForms-Webhook-Signature', 'v')(secrets);
  return (request, surroundings) => check(request.type?.essence === FORM ? asSigned(request) : request, surroundings);
};

function asSigned(request: RawRequest): RawRequest {
  return { ...request, body: Buffer.from(phpJson(nested(new URLSearchParams(request.body.toString('utf8'))))) };
}

interface Branch {
  readonly [name: string]: string | Branch;
}

/** PHP writes a list as `photo[0]=…&photo[1]=…`, and a map as `name[first]=…`. */
function nested(params: Iterable<readonly [string, string]>): Branch {
  const root: Record<string, string | Branch> = Object.create(null);
  for (const [name, value] of params) {
    const [, outer = name, inner] = /^([^[]+)\[([^\]]*)\]$/.exec(name) ?? [];
    if (inner === undefined) root[outer] = value;
    else {
      const branch = root[outer];
      root[outer] = { ...(typeof branch === 'object' ? branch : {}), [inner]: value };
    }
  }
  return root;
}

/** `wp_json_encode`: slashes are escaped, and all that is not ASCII. */
function phpJson(value: string | Branch): string {
  if (typeof value === 'string') {
    const toHex = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
    return JSON.stringify(value)
      .replaceAll('/', '\\/')
      .replace(/[\u007f-\uffff]/g, toHex);
  }
  const entries = Object.entries(value);
  const isList = entries.length > 0 && entries.every(([name], index) => name === String(index));
  const inner = entries.map(([name, one]) => (isList ? '' : `${phpJson(name)}:`) + phpJson(one)).join(',');
  return isList ? `[${inner}]` : `{${inner}}`;
}

/** https://wpforms.com/docs/how-to-install-and-use-the-webhooks-addon-with-wpforms/. Names are those that the form's owner gave. */
export const wpforms = provider({
  sender: 'email',
  scheme,
  types: ['application/json', FORM],
  isForm: true,
  shapes: [
    {
      fits: ({ data }) => Object.keys(data).length > 0,
      ...answered(({ data }) => data),
      recipient: 'form_id',
      id: 'entry_id',
    },
  ],
});
