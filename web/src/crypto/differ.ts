/**
 * The TypeScript side of the differential test (chain/differential_test.go): it
 * reads one request a line and answers each with one line. Only that test runs
 * it; no page imports it.
 */
import { createInterface } from 'node:readline';
import { type Bytes, b64, compare, equal, hex, unhex } from './bytes';
import { apply, type ChainState, type Member, recipientsFit } from './chain';
import { directoryText, openDirectory, parseDirectory } from './directory';
import { type EpochNote, type Heads, parseEpochNote, parseHeads } from './epoch';
import { Failure } from './failure';
import { kidOf } from './hash';
import { composeText, type Note, parseNote, parseVkey, sortedLines, verifyNote, vkey } from './note';
import { Overlay } from './overlay';
import { headerBytes, split } from './part';
import { applicantText, deskText, healthText, messageText, openingText, parseApplicant, parseDesk, parseHealth, parseMessage, parseOpening } from './opening';
import { commandText, loginText, parseCommand, parseLogin } from './request';
import { recipients } from './standing';
import { parseStatement, statementText } from './statement';

interface Request {
  readonly op: string;
  /** hex */
  readonly raw?: string;
  readonly now?: number;
  readonly kids?: readonly string[];
  readonly text?: string;
}

interface Reply {
  readonly ok: boolean;
  /** what the test compares; empty when refused */
  readonly out: string;
  /** why it was refused, for people */
  readonly why: string;
}

let state: ChainState | null = null;
let overlay = Overlay.empty;

function founded(): ChainState {
  if (state === null) throw new Failure('verify', 'differ: nothing founded');
  return state;
}

const ops: Readonly<Record<string, (r: Request, raw: Bytes) => string | Promise<string>>> = {
  reset: () => {
    state = null;
    overlay = Overlay.empty;
    return '';
  },
  note: (_, raw) => noteText(parseNote(raw)),
  verify: async (r, raw) => {
    const n = parseNote(raw);
    await noteText(n);
    await verifyNote(n, unhex(r.text ?? ''));
    return '';
  },
  vkey: (r) => {
    const { name, publicKey } = parseVkey(r.text ?? '');
    return `${name} ${hex(publicKey)} ${name === `lk.${hex(kidOf(publicKey))}` ? vkey(publicKey) : ''}`;
  },
  parts: (_, raw) => split(raw).map((p) => hex(headerBytes(p.header))).join('\n'),
  apply: async (r, raw) => {
    state = await apply(state, parseNote(raw), r.now ?? 0);
    return dump(state) + dump(overlay.under(state));
  },
  early: async (r, raw) => {
    overlay = await overlay.add(founded(), raw, r.now ?? 0);
    return overlayDump();
  },
  settle: () => {
    overlay = Overlay.parse(overlay.settle(founded()).notes);
    return overlayDump();
  },
  directory: async (_, raw) => hex((await openDirectory(raw, founded())).by),
  fit: (r) => recipientsFit((r.kids ?? []).map(unhex), founded(), founded().time).map(hex).join(','),
};

function overlayDump(): string {
  return overlay.notes.map((n) => `${hex(n)}\n`).join('') + dump(overlay.under(founded()));
}

/** The text that the values of a note give again: values that differ give different texts. */
async function noteText(n: Note): Promise<string> {
  const again = await rewritten(n);
  // Not a Failure: that it reads and does not write is a fault of this client.
  if (!equal(again, n.text)) throw new Error('differ: it reads what it does not write');
  return hex(again);
}

async function rewritten(n: Note): Promise<Bytes> {
  switch (n.type) {
    case 'epoch':
      return epochText(parseEpochNote(n));
    case 'heads':
      return headsText(parseHeads(n));
    case 'login':
      return loginText(parseLogin(n));
    case 'command':
      return commandText(parseCommand(n));
    case 'directory':
      return directoryText(parseDirectory(n));
    case 'opening':
      return openingText(parseOpening(n));
    case 'desk':
      return deskText(parseDesk(n));
    case 'applicant':
      return applicantText(await parseApplicant(n));
    case 'message':
      return messageText(parseMessage(n));
    case 'health':
      return healthText(parseHealth(n));
    default: {
      const { head, body } = parseStatement(n);
      return statementText(head, body);
    }
  }
}

function position(p: { readonly seq: number; readonly hash: Bytes; readonly proofTime: number }): string {
  return `${p.seq} ${b64(p.hash)} ${p.proofTime}`;
}

function epochText(e: EpochNote): Bytes {
  return composeText('epoch', [
    ['household', b64(e.household)], ['hub', b64(e.hub)], ['n', String(e.n)], ['prev', b64(e.prev)], ['epoch', b64(e.epoch)],
    ['start', String(e.start)], ['clock', e.clockSynced ? 'synced' : 'unsynced'], ['chain', position(e.chain)], ['signer', b64(e.signer)],
    ...sortedLines('track', [...e.tracks].map(([track, commit]) => `${b64(unhex(track))} ${b64(commit)}`)),
    ['seals', b64(e.seals)],
    ...sortedLines('last', e.last.map((l) => `${b64(l.track)} ${b64(l.epoch)} ${l.seq} ${b64(l.hash)}`)),
  ]);
}

function headsText(h: Heads): Bytes {
  return composeText('heads', [
    ['household', b64(h.household)], ['hub', b64(h.hub)], ['epoch', b64(h.epoch)], ['n', String(h.n)], ['time', String(h.time)],
    ['chain', position(h.chain)], ['log', `${h.log.size} ${b64(h.log.root)}`],
    ...sortedLines('head', [...h.heads.values()].map((x) => `${b64(x.track)} ${x.seq} ${b64(x.hash)}`)),
  ]);
}

/** All of a state as text, the same as dump_test.go writes. */
function dump(s: ChainState): string {
  const out = [`household ${hex(s.household)}`, `at ${s.seq} ${hex(s.hash)} ${s.time}`, `ktag ${hex(s.ktag)}`];
  out.push(`operator ${JSON.stringify(s.operator ?? '')}`, `log ${JSON.stringify(s.log ?? '')}`);
  for (const [, m] of sorted(s.members)) out.push(memberDump(m));
  for (const [kid, h] of sorted(s.hubs)) out.push(`hub ${kid} ${hex(h.ed)} ${hex(kidOf(h.x))} seq=${h.seq}`);
  for (const [id, c] of sorted(s.cameras)) {
    const tracks = [...c.tracks].sort((a, b) => compare(a.track, b.track));
    out.push(['camera', id, ...tracks.map((t) => `${hex(t.track)}:${t.kind}`)].join(' '));
  }
  out.push(`retain * ${s.retainAll}`);
  for (const [track, seconds] of sorted(s.retain)) out.push(`retain ${track} ${seconds}`);
  for (const e of s.erased) out.push(`erased ${hex(e.track)} ${e.from} ${e.until}`);
  for (const [id, g] of sorted(s.grants)) {
    const ranges = g.tracks.map((r) => ` ${hex(r.track)}:${r.from}:${r.until}`).join('');
    const capsule = hex(g.capsule ?? new Uint8Array(32));
    out.push(`grant ${id} by=${hex(g.by)} to=${hex(g.to)} ${g.kind} until=${g.until} capsule=${capsule} standing=${g.standing} release=${hex(g.release ?? new Uint8Array(16))} mask=${hex(g.mask ?? new Uint8Array(32))} seq=${g.seq} revoked=${g.revoked}${ranges}`);
  }
  for (const r of recipients(s, s.time)) {
    const windows = r.windows.map((w) => ` ${hex(w.track)}:${w.from}:${w.until}`).join('');
    out.push(`recipient ${hex(r.kid)} tracks=${list(r.tracks)}${windows}`);
  }
  return out.map((line) => `${line}\n`).join('');
}

function memberDump(m: Member): string {
  const tracks = m.tracks === 'all' ? '' : list([...m.tracks].sort(compare));
  return (
    `member ${hex(m.kid)} ${hex(m.ed)} ${hex(kidOf(m.x))} ${hex(m.recovery)} ${m.role} share=${m.share} all=${m.tracks === 'all'} ` +
    `seq=${m.seq} tracks=${tracks} past=${list(m.past)} pasted=${list(m.pastEd)}`
  );
}

function list(ids: readonly Bytes[]): string {
  return ids.map(hex).join(',');
}

function sorted<T>(m: ReadonlyMap<string, T>): [string, T][] {
  return [...m].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function answer(line: string): Promise<Reply> {
  const r = JSON.parse(line) as Request;
  const op = ops[r.op];
  if (op === undefined) throw new TypeError(`differ: no such request: ${r.op}`);
  try {
    return { ok: true, out: await op(r, unhex(r.raw ?? '')), why: '' };
  } catch (err) {
    // Anything but a Failure is a fault of this client: a page would break on it.
    if (!(err instanceof Failure)) throw err;
    return { ok: false, out: '', why: err.message };
  }
}

/** Answers requests until stdin ends. */
export async function serve(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(line))}\n`);
  }
}
