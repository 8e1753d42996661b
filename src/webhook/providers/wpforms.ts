import { NotVerified } from '../../errors.ts';
import { formParams } from '../payload.ts';
import { digestOf } from '../repeat.ts';
import { stripe } from '../verify/hmac.ts';
import type { Scheme } from '../verify/request.ts';
import { answered } from './answers.ts';
import { provider } from './preset.ts';

const FORM = 'application/x-www-form-urlencoded';

/** As Stripe signs, but for a name. Of a body in FORM format not the bytes are signed, but what PHP writes as JSON of it. */
const scheme: Scheme = (secrets) => {
  const check = stripe('X-WPForms-Webhook-Signature', 'v')(secrets);
  return (request, surroundings) => {
    if (request.type?.essence !== FORM) return check(request, surroundings);
    const params = [...formParams(request.body.toString('utf8'))];
    const tree = nested(params);
    // Of a name that comes twice only the last is among what was signed, and all would be read.
    if (leavesOf(tree) !== params.length) return new NotVerified('A name comes twice, which WPForms does not send.');
    return check({ ...request, body: Buffer.from(phpJson(tree)) }, surroundings);
  };
};

type Branch = Map<string, string | Branch>;

/** PHP writes a list as `photo[0]=…&photo[1]=…`, and a map as `name[first]=…`, one within the other. */
function nested(params: Iterable<readonly [string, string]>): Branch {
  const root: Branch = new Map();
  for (const [name, value] of params) {
    const [, outer = name, inner = ''] = /^([^[]+)((?:\[[^\]]*\]){1,8})$/.exec(name) ?? [];
    const steps = [outer, ...[...inner.matchAll(/\[([^\]]*)\]/g)].map(([, step = '']) => step)];
    const last = steps.pop() ?? '';
    const branch = steps.reduce((parent: Branch, step) => branchAt(parent, step), root);
    branch.set(last, value);
  }
  return root;
}

function branchAt(parent: Branch, step: string): Branch {
  const known = parent.get(step);
  if (known instanceof Map) return known;
  const branch: Branch = new Map();
  parent.set(step, branch);
  return branch;
}

function leavesOf(branch: Branch): number {
  return [...branch.values()].reduce((sum, one) => sum + (typeof one === 'string' ? 1 : leavesOf(one)), 0);
}

/** `wp_json_encode`: slashes are escaped, and all that is not ASCII. */
function phpJson(value: string | Branch): string {
  if (typeof value === 'string') {
    const toHex = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
    return JSON.stringify(value)
      .replaceAll('/', '\\/')
      .replace(/[\u0080-\uffff]/g, toHex);
  }
  const entries = [...value];
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
      // It is 0 for every entry where none are kept.
      id: (item) => (item.is('entry_id', '0') ? undefined : item.at('entry_id')),
      // Counted within a site, and anew where that is set up again.
      event: (item) => (item.has('entry_id') && !item.is('entry_id', '0') ? digestOf(item.data) : undefined),
    },
  ],
});
