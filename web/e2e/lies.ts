/** What a lying server does to parts (protocol 2.5), stream by stream. Each lie keeps a memory of its own. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type EpochInfo, EpochInfoSchema, ListEpochsResponseSchema } from '../src/api/latchkey/v1/latchkey_pb';
import type { CallLie, PartLie } from './between';

const HEADER = 128;
const SIGNATURE = 64;
const LENGTH_AT = 12;
const SALT_AT = 48;
const TRACK_AT = 32;

/** The parts of a concatenation; what is left over at the end is one of its own. */
export function split(bytes: Buffer): Buffer[] {
  const out: Buffer[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const size = rest.length < HEADER ? rest.length : Math.min(rest.length, HEADER + rest.readUInt32BE(LENGTH_AT) + SIGNATURE);
    out.push(rest.subarray(0, size));
    rest = rest.subarray(size);
  }
  return out;
}

export const track = (part: Buffer): string => part.toString('hex', TRACK_AT, TRACK_AT + 16);

function flipped(part: Buffer, at: number): Buffer {
  const out = Buffer.from(part);
  out.writeUInt8(out.readUInt8(at) ^ 4, at);
  return out;
}

/** Changes every nth part. */
function each(every: number, change: (part: Buffer) => readonly Buffer[]): PartLie {
  let seen = 0;
  return (parts) => parts.flatMap((part) => (++seen % every === 0 ? change(part) : [part]));
}

/** A lie in doses: `every` 1 tells it about each part. `latest` has the newest part of each track that came by. */
export type Dose = (every: number, latest: ReadonlyMap<string, Buffer>) => PartLie;

const named = <K extends string>(doses: Readonly<Record<K, Dose>>): Readonly<Record<K, Dose>> => doses;

export const lies = named({
  'flips a bit of the header': (every) => each(every, (p) => [flipped(p, SALT_AT)]),
  'flips a bit of the ciphertext': (every) => each(every, (p) => [flipped(p, HEADER + 9)]),
  'flips a bit of the signature': (every) => each(every, (p) => [flipped(p, p.length - 5)]),
  'puts in the content of another track': (every, latest) => each(every, (p) => {
    const other = [...latest].find(([of]) => of !== track(p));
    return other === undefined ? [] : [renamed(other[1], p)];
  }),
  'names another epoch': (every) => each(every, (p) => [otherEpoch(p)]),
  'cuts a part short': (every) => each(every, (p) => [p.subarray(0, p.length - 10)]),
  'replays an old part': (every) => {
    const old = new Map<string, Buffer>();
    return each(every, (p) => {
      const before = old.get(track(p)) ?? p;
      old.set(track(p), before);
      return [before];
    });
  },
});

/** Lies about order, where every part is good: what can be shown is shown, once. */
export const orders = named({
  'leaves parts out': (every) => each(every, () => []),
  'sends parts twice': (every) => each(every, (p) => [p, p]),
  'changes their order': (every) => {
    const held = new Map<string, Buffer>();
    const turned = each(every, (p) => {
      held.set(track(p), p);
      return [];
    });
    return (parts) => {
      return turned(parts).flatMap((p) => {
        const late = held.get(track(p));
        held.delete(track(p));
        return late === undefined ? [p] : [p, late];
      });
    };
  },
});

/** The content of one part under the track and number of another. */
function renamed(content: Buffer, place: Buffer): Buffer {
  const out = Buffer.from(content);
  place.copy(out, 4, 4, LENGTH_AT);
  place.copy(out, TRACK_AT, TRACK_AT, SALT_AT);
  return out;
}

function otherEpoch(part: Buffer): Buffer {
  const out = Buffer.from(part);
  out.subarray(16, TRACK_AT).reverse();
  return out;
}

/** Changes the epochs of an answer. */
function epochs(change: (list: EpochInfo[]) => EpochInfo[]): CallLie {
  return (call, body) => {
    if (call !== 'ListEpochs' && call !== 'GetEpochs') return body;
    const reply = fromBinary(ListEpochsResponseSchema, body);
    return Buffer.from(toBinary(ListEpochsResponseSchema, create(ListEpochsResponseSchema, { ...reply, epochs: change(reply.epochs) })));
  };
}

const without = (info: EpochInfo, field: Partial<EpochInfo>): EpochInfo => create(EpochInfoSchema, { ...info, ...field });

function flippedAt(bytes: Uint8Array, at: number): Uint8Array {
  return new Uint8Array(flipped(Buffer.from(bytes), at));
}

/** Lies about epochs. */
export const epochLies: Readonly<Record<string, CallLie>> = {
  'changes an epoch note': epochs((list) => list.map((e) => without(e, { note: flippedAt(e.note, e.note.length >> 1) }))),
  'gives another capsule': epochs((list) => list.map((e) => without(e, { capsule: flippedAt(e.capsule, e.capsule.length >> 1) }))),
  'gives the capsule of another epoch': (() => {
    const seen = new Map<string, Uint8Array>();
    return epochs((list) => list.map((e) => {
      seen.set(Buffer.from(e.note).toString('latin1'), e.capsule);
      const other = [...seen.values()].find((c) => Buffer.compare(c, e.capsule) !== 0);
      return without(e, { capsule: other ?? flippedAt(e.capsule, 40) });
    }));
  })(),
  'changes who else can read': epochs((list) => list.map((e) => without(e, { seals: e.seals.slice(1) }))),
};

/** No heads any more: with the parts kept back, a tail that looks whole. */
export const withoutHeads: CallLie = epochs((list) => list.map((e) => without(e, { heads: new Uint8Array() })));
