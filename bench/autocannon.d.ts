/** What the bench uses of autocannon, which comes without types. */
declare module 'autocannon' {
  interface Options {
    readonly url: string;
    readonly method: 'POST';
    readonly headers: Readonly<Record<string, string>>;
    readonly connections: number;
    /** Requests altogether. */
    readonly amount: number;
    /** Milliseconds between two looks at whether all is done. */
    readonly sampleInt: number;
    /** Called for each connection before it is opened. */
    setupClient(client: Client): void;
  }

  interface Client {
    /** What this connection sends, in this order. */
    setRequests(requests: readonly { readonly body: string }[]): void;
  }

  interface Result {
    readonly '2xx': number;
    readonly non2xx: number;
    readonly errors: number;
  }

  interface Run extends PromiseLike<Result> {
    on(event: 'start' | 'response', listener: () => void): this;
  }

  export default function autocannon(options: Options): Run;
}
