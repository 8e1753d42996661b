/** The header by which a process of the bridge tells a far end its name: of several, who called. */
export const NAME_HEADER = 'x-chaos-name';
