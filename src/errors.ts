import { STATUS_CODES } from 'node:http';

export interface FieldError {
  readonly path: string;
  readonly message: string;
}

interface ProblemOptions extends ErrorOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly errors?: readonly FieldError[];
}

/** A request refused on purpose. Its message is written for the caller and goes out as `detail`. */
export abstract class Refusal extends Error {
  abstract readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly errors: readonly FieldError[] | undefined;

  constructor(detail: string, options: ProblemOptions = {}) {
    super(detail, options);
    this.name = new.target.name;
    this.headers = options.headers ?? {};
    this.errors = options.errors;
  }
}

export class Malformed extends Refusal {
  readonly status = 400;
}

export class NotVerified extends Refusal {
  readonly status = 401;
}

/** It is not who was asked for. */
export class Forbidden extends Refusal {
  readonly status = 403;
}

export class OriginNotAllowed extends Refusal {
  readonly status = 403;
}

/** Asked under a name that is not this machine's: a web page that has made its own name mean this address. */
export class HostNotAllowed extends Refusal {
  readonly status = 403;
}

export class NotFound extends Refusal {
  readonly status = 404;
}

export class MethodNotAllowed extends Refusal {
  readonly status = 405;
  constructor(method: string, allowed: readonly string[]) {
    const allow = allowed.join(', ');
    super(`${method} is not accepted here; send ${allow}.`, { headers: { Allow: allow } });
  }
}

/** It cannot be done to what it is now. */
export class Conflict extends Refusal {
  readonly status = 409;
}

export class TooLarge extends Refusal {
  readonly status = 413;
}

export class UnsupportedContent extends Refusal {
  readonly status = 415;
}

export class Invalid extends Refusal {
  readonly status = 422;
  constructor(errors: readonly FieldError[]) {
    super(errors.map(({ path, message }) => (path === '' ? message : `${path} ${message}`)).join('; '), { errors });
  }
}

export class TooManyRequests extends Refusal {
  readonly status = 429;
}

/** Our own trouble. Always 503, never a 4xx: several providers drop a message for good on any 4xx. */
export class Unavailable extends Refusal {
  readonly status = 503;
  constructor(detail: string, options: ErrorOptions & { readonly retryAfterSeconds?: number } = {}) {
    super(detail, { ...options, headers: { 'Retry-After': String(options.retryAfterSeconds ?? 5) } });
  }
}

/** RFC 9457 problem details. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
}

export function toProblem(refusal: Refusal): Problem {
  return {
    type: `urn:haptik-bridge:problem:${refusal.name.replace(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase()}`,
    title: STATUS_CODES[refusal.status] ?? 'Error',
    status: refusal.status,
    detail: refusal.message,
    ...(refusal.errors && { errors: refusal.errors }),
  };
}
