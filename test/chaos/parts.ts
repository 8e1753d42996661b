/** A message's id says its conversation and its place there: `user3-17`. */
export interface Parts {
  readonly conversation: string;
  readonly index: number;
}

export function partsOf(id: string): Parts {
  const dash = id.lastIndexOf('-');
  return { conversation: id.slice(0, dash), index: Number(id.slice(dash + 1)) };
}
