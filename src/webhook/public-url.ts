import type { Request } from 'express';

/**
 * The URL that the sender called, with path and query exactly as they came: some sign it. Behind a load balancer only the
 * operator knows it (`PUBLIC_URL`, without what comes after it); else it is put together from what a trusted proxy forwards
 * (X-Forwarded-Proto, -Host, -Port, -Prefix).
 */
export function urlAsCalled(request: Request, publicUrl: string | undefined): string {
  return (publicUrl ?? forwarded(request)) + request.originalUrl;
}

function forwarded(request: Request): string {
  const { protocol, host } = request;
  const port = isTrusted(request) ? first(request.get('x-forwarded-port')) : undefined;
  const prefix = isTrusted(request) ? first(request.get('x-forwarded-prefix')) : undefined;
  const usual = protocol === 'https' ? '443' : '80';
  const isPlain = /^(\[[^\]]*\]|[^:]*)$/.test(host ?? '');
  const authority = isPlain && port !== undefined && port !== usual ? `${host}:${port}` : host;
  return `${protocol}://${authority}${withoutEnd(prefix ?? '')}`;
}

/** Express says by the same rule whom it believes the protocol and the host. */
function isTrusted(request: Request): boolean {
  const trust: unknown = request.app.get('trust proxy fn');
  return typeof trust === 'function' && trust(request.socket.remoteAddress, 0) === true;
}

/** Without slashes at its end, in one pass: whoever sends it need not be verified yet. */
function withoutEnd(text: string): string {
  return text.replace(/(?<!\/)\/+$/, '');
}

function first(header: string | undefined): string | undefined {
  return header?.split(',')[0]?.trim() || undefined;
}
