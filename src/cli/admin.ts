import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import fetch, { type Response } from 'node-fetch';
import { z } from 'zod';
import { messageOf, propertyOf } from '../fault.ts';
import { type Environment, readAdminSettings } from '../settings.ts';
import { printable } from './print.ts';

/** No bridge answers where one should. */
export class BridgeUnreachable extends Error {
  override readonly name = 'BridgeUnreachable';
}

/** The bridge said no, and why. */
export class BridgeRefused extends Error {
  override readonly name = 'BridgeRefused';
}

/** Asks the running bridge, as the environment says where it is. */
export class Admin {
  readonly #url: string;
  readonly #token: string | undefined;

  /** @throws {SettingsRefused} */
  constructor(env: Environment) {
    const { adminHost, adminPort, adminToken } = readAdminSettings(env);
    // What listens on every address is reached on this machine's own.
    const host = ['0.0.0.0', '::', '[::]'].includes(adminHost) ? '127.0.0.1' : adminHost;
    this.#url = `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${adminPort}`;
    this.#token = adminToken;
  }

  /** @throws {BridgeUnreachable | BridgeRefused} */
  async get(path: string): Promise<unknown> {
    return this.#read(await this.#call('GET', path, 'application/json'));
  }

  /** @throws {BridgeUnreachable | BridgeRefused} */
  async post(path: string, body: object = {}): Promise<unknown> {
    return this.#read(await this.#call('POST', path, 'application/json', body));
  }

  /** Long work, step by step. @throws {BridgeUnreachable | BridgeRefused} also when it is broken off */
  async *steps(path: string, body: object): AsyncGenerator<unknown> {
    const response = await this.#call('POST', path, 'application/x-ndjson', body);
    let isDone = false;
    try {
      for await (const line of createInterface({ input: Readable.from(response.body ?? []) })) {
        const step: unknown = JSON.parse(line);
        isDone = typeof step === 'object' && step !== null && 'done' in step;
        yield step;
      }
    } catch (error) {
      throw this.#brokenOff(error);
    }
    if (!isDone) throw this.#brokenOff('it has no end');
  }

  async #read(response: Response): Promise<unknown> {
    try {
      return await response.json();
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  async #call(method: string, path: string, accept: string, body?: object): Promise<Response> {
    const headers = {
      Accept: accept,
      ...(body && { 'Content-Type': 'application/json' }),
      ...(this.#token && { Authorization: `Bearer ${this.#token}` }),
    };
    let response: Response;
    try {
      response = await fetch(this.#url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (response.ok) return response;
    if (response.status === 401) {
      const fault = this.#token === undefined ? 'ADMIN_TOKEN is not set; it has to be' : 'ADMIN_TOKEN is not';
      throw new BridgeRefused(`${fault} that of the bridge on ${this.#url}.`);
    }
    const detail = detailOf(await response.text().catch(() => ''));
    // What does not answer as a bridge does is none.
    if (detail === undefined) throw this.#unreachable(`HTTP ${response.status}`);
    throw new BridgeRefused(detail);
  }

  #unreachable(cause: unknown): BridgeUnreachable {
    const advice = 'is it running? ADMIN_HOST and ADMIN_PORT say where';
    return new BridgeUnreachable(`no bridge answers on ${this.#url} (${faultOf(cause)}); ${advice}.`, { cause });
  }

  #brokenOff(cause: unknown): BridgeUnreachable {
    const advice = 'run it again, what is done is not done twice';
    return new BridgeUnreachable(`the answer of ${this.#url} broke off (${faultOf(cause)}); ${advice}.`, { cause });
  }
}

const refusal = z.looseObject({
  detail: z.string(),
  errors: z.array(z.looseObject({ path: z.string(), message: z.string() })).optional(),
});

function faultOf(cause: unknown): unknown {
  return propertyOf(cause, 'code') ?? printable(messageOf(cause));
}

function detailOf(text: string): string | undefined {
  try {
    const problem: unknown = JSON.parse(text);
    const { detail, errors = [] } = refusal.parse(problem);
    // Of a routing file there may be twenty, each with its place.
    return errors.length > 1
      ? errors.map(({ path, message }) => printable(`${path} ${message}`)).join('\n')
      : printable(detail);
  } catch {
    return undefined;
  }
}
