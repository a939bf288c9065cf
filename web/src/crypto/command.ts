/**
 * Notes that a member signs for others than the chain: sign-in for the server,
 * and commands for a hub, sealed so that the server learns their length only
 * (protocol 2.13, design 0001).
 */
import { type Bytes, b64, utf8 } from './bytes';
import { random, type Signer } from './cipher';
import { Failure } from './failure';
import { kidOf } from './hash';
import { purpose, sealObject } from './hpke';
import { composeText, signNote } from './note';

const maxArgs = 16 << 10;

/** The `login` note that answers a challenge. `server` is the origin this page trusts, not what a reply says. */
export function loginNote(a: { household: Bytes; server: string; nonce: Bytes; now: number }, signer: Signer): Promise<Bytes> {
  const text = composeText('login', [
    ['household', b64(a.household)],
    ['by', b64(kidOf(signer.publicKey))],
    ['server', a.server],
    ['nonce', b64(a.nonce)],
    ['time', String(a.now)],
  ]);
  return signNote(text, signer);
}

export type Op = 'camera' | 'camera-remove' | 'event-start' | 'epoch' | 'health' | 'health-end';

/** A signed command note, sealed to the hub's X-Wing key: "LKX1" ‖ kid ‖ enc ‖ ct. */
export async function sealCommand(
  a: { household: Bytes; hub: Bytes; hubX: Bytes; op: Op; args: unknown; now: number },
  signer: Signer,
): Promise<Bytes> {
  const args = utf8(JSON.stringify(a.args));
  if (args.length > maxArgs) throw new Failure('internal', 'command: arguments over 16 KiB');
  const text = composeText('command', [
    ['household', b64(a.household)],
    ['hub', b64(a.hub)],
    ['by', b64(kidOf(signer.publicKey))],
    ['time', String(a.now)],
    ['nonce', b64(random(16))],
    ['op', a.op],
    ['args', b64(args)],
  ]);
  return sealObject('LKX1', a.hubX, purpose('command', a.household), await signNote(text, signer));
}
