import type { Channel } from '../../routing/table.ts';
import { form } from './form.ts';
import { generic } from './generic.ts';
import type { Provider } from './provider.ts';

export const providers: Readonly<Record<Channel['provider'], Provider>> = { generic, form };
