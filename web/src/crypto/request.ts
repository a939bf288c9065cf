/**
 * Readers of the notes that members write and servers and hubs read: login and
 * command. No page reads them; they hold both languages to the same texts.
 */
import { type Bytes, b64, fromUtf8, parseB64 } from './bytes';
import { refuse } from './failure';
import { composeText, LineReader, type Note } from './note';

const maxArgs = 16 << 10;

export interface Login {
  readonly household: Bytes;
  readonly by: Bytes;
  /** origin, such as https://latchkey.example */
  readonly server: string;
  readonly nonce: Bytes;
  readonly time: number;
}

export function parseLogin(n: Note): Login {
  const r = new LineReader(n, 'login');
  const out = { household: r.bytes('household', 16), by: r.bytes('by', 16), server: originField(r.one('server')), nonce: r.bytes('nonce', 16), time: r.number('time') };
  r.end();
  return out;
}

export function loginText(l: Login): Bytes {
  return composeText('login', [['household', b64(l.household)], ['by', b64(l.by)], ['server', l.server], ['nonce', b64(l.nonce)], ['time', String(l.time)]]);
}

/** scheme://host[:port] in the one form a browser writes: ASCII, lower case. */
export function originField(value: string): string {
  if (value.length > 255 || !/^https?:\/\/[a-z0-9.:[\]-]+$/.test(value)) throw refuse('login: the server is no origin');
  return value;
}

export interface Command {
  readonly household: Bytes;
  readonly hub: Bytes;
  readonly by: Bytes;
  readonly time: number;
  readonly nonce: Bytes;
  readonly op: string;
  /** UTF-8, said to be JSON */
  readonly args: Bytes;
}

export function parseCommand(n: Note): Command {
  const r = new LineReader(n, 'command');
  const out = {
    household: r.bytes('household', 16), hub: r.bytes('hub', 16), by: r.bytes('by', 16), time: r.number('time'),
    nonce: r.bytes('nonce', 16), op: opField(r.one('op')), args: argsField(r.one('args')),
  };
  r.end();
  return out;
}

export function commandText(c: Command): Bytes {
  return composeText('command', [
    ['household', b64(c.household)], ['hub', b64(c.hub)], ['by', b64(c.by)], ['time', String(c.time)],
    ['nonce', b64(c.nonce)], ['op', c.op], ['args', b64(c.args)],
  ]);
}

function opField(value: string): string {
  if (!/^[a-z-]{1,32}$/.test(value)) throw refuse('command: not an operation');
  return value;
}

function argsField(value: string): Bytes {
  const b = parseB64(value);
  if (b === null || b.length === 0 || b.length > maxArgs) throw refuse('command: arguments are not 1 to 16,384 bytes');
  try {
    fromUtf8(b);
  } catch (cause) {
    throw refuse('command: arguments are not UTF-8', cause);
  }
  return b;
}
