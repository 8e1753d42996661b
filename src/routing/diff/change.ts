/** One difference between two routing files, in words. */
export interface Change {
  readonly part: 'account' | 'channel' | 'route' | 'sender' | 'file';
  /** A route has `moved` when others of its channel are tried before it now, or after it; a sender, to another auth_id. */
  readonly change: 'added' | 'removed' | 'changed' | 'moved';
  /** Of an account or channel, a sender, a key of the file; `routes[3]` of the new file, `was routes[3]` of the old one. */
  readonly name: string;
  /** One line. No secret stands in it, and nothing that a terminal obeys. */
  readonly message: string;
}
