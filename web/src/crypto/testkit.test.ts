// @vitest-environment node
/** The vector files of testkit: the same values and refusals that Go is held to. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Bytes, concat, fromUtf8, hex, parseB64, unhex, utf8, b64 } from './bytes';
import { apply, type ChainState } from './chain';
import { random, signer, verifier } from './cipher';
import { Code, parseCode } from './code';
import { parseDirectory } from './directory';
import { openCapsule, parseCapsule, parseEpochNote, parseHeads, sealsHash } from './epoch';
import type { OpenEpoch } from './epoch';
import { H, kdf, kidOf } from './hash';
import { newSealingKey, sealingKey } from './hpke';
import { openLabel, openLetter, sealLabel } from './letter';
import { composeText, parseNote, verifyNote, vkey } from './note';
import { openRun } from './opener';
import { memberOffer, offerDigits, openAnswer, openOffer, safetyCode, sealAnswer, sealOffer } from './pairing';
import { paddedMedia, parsePart, parseRecords, partHash, verifyRun } from './part';
import { applicantText, deskText, healthText, messageText, openingText, parseApplicant, parseDesk, parseHealth, parseMessage, parseOpening } from './opening';
import { commandText, loginText, parseCommand, parseLogin } from './request';
import { recipients } from './standing';
import { type Body, parseStatement, statementText } from './statement';
import { HeldTree, rootCommit } from './tree';
import { openVault, openWrap, vaultVersion, wrapKind } from './vault';

const folder = resolve(import.meta.dirname, '../../../testkit/vectors');

function load<T>(name: string): T {
  return JSON.parse(readFileSync(resolve(folder, name), 'utf8')) as T;
}

interface Reject {
  name: string;
  bytes: string;
}
interface NoteVector {
  text: string;
  note: string;
  hash: string;
  signer: string;
  vkey: string;
}
interface RejectedNote {
  name: string;
  note: string;
}

/** Everything that this client does with a note before it believes a line of it. */
function readNote(raw: Bytes): void {
  const n = parseNote(raw);
  if (n.type === 'epoch') parseEpochNote(n);
  else if (n.type === 'heads') parseHeads(n);
  else if (n.type === 'login') parseLogin(n);
  else if (n.type === 'command') parseCommand(n);
  else if (n.type === 'directory') parseDirectory(n);
  else if (n.type === 'opening') parseOpening(n);
  else if (n.type === 'desk') parseDesk(n);
  else if (n.type === 'message') parseMessage(n);
  else if (n.type === 'health') parseHealth(n);
  else parseStatement(n);
}

async function checkNote(v: NoteVector): Promise<void> {
  const n = parseNote(utf8(v.note));
  expect(fromUtf8(n.text)).toBe(v.text);
  expect(hex(n.hash)).toBe(v.hash);
  expect(vkey(unhex(v.signer))).toBe(v.vkey);
  await verifyNote(n, unhex(v.signer));
}

describe('notes', () => {
  const v = load<{ valid: NoteVector; extra_signature: string; forged: RejectedNote[]; reject: Reject[] }>('notes.json');

  it('reads and verifies what is valid', async () => {
    await checkNote(v.valid);
    await verifyNote(parseNote(utf8(v.extra_signature)), unhex(v.valid.signer));
  });

  it.each(v.forged)('does not verify: $name', async ({ note }) => {
    await expect(verifyNote(parseNote(utf8(note)), unhex(v.valid.signer))).rejects.toThrow();
  });

  it.each(v.reject)('refuses: $name', ({ bytes }) => {
    expect(() => { readNote(unhex(bytes)); }).toThrow();
  });
});

interface Range {
  track: string;
  from: number;
  until: number;
}

describe.each(['statements', 'desk'])('%s', (file) => {
  interface StateVector {
    seq: number;
    hash: string;
    members: { kid: string; role: string; share: boolean; all: boolean; tracks: string[]; past: string[]; past_ed: string[]; seq: number }[];
    retain_all: number;
    retain: { track: string; seconds: number }[];
    erased: Range[];
    grants: { grant: string; by: string; to: string; kind: string; tracks: Range[]; until: number; capsule: string; release: string; mask: string; seq: number; revoked: boolean }[];
    hubs: string[];
    cameras: { camera: string; tracks: { track: string; kind: string }[] }[];
    recipients: { kid: string; tracks: string[] }[];
  }
  const v = load<{
    now: number;
    household: string;
    chain: { name: string; type: Body['type']; note: string; hash: string; state: StateVector }[];
    reject: { name: string; after: number; now: number; error: string; note: string }[];
    grant: NoteVector;
  }>(`${file}.json`);

  /** The states after each statement, made once. */
  const states: Promise<(ChainState | null)[]> = (async () => {
    const out: (ChainState | null)[] = [null];
    for (const c of v.chain) out.push(await apply(out[out.length - 1] ?? null, parseNote(utf8(c.note)), v.now));
    return out;
  })();

  async function upTo(n: number): Promise<ChainState | null> {
    const s = (await states)[n];
    if (s === undefined) throw new Error(`no ${n} statements`);
    return s;
  }

  function sortBy<T>(list: readonly T[], key: (t: T) => string): T[] {
    return [...list].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  function range(r: { track: Bytes; from: number; until: number }): Range {
    return { track: hex(r.track), from: r.from, until: r.until };
  }

  function vectorOf(s: ChainState): StateVector {
    const kid = (t: { kid: string }): string => t.kid;
    return {
      seq: s.seq,
      hash: hex(s.hash),
      members: sortBy([...s.members.values()].map((m) => ({
        kid: hex(m.kid), role: m.role, share: m.share, all: m.tracks === 'all', tracks: m.tracks === 'all' ? [] : m.tracks.map(hex).sort(),
        past: m.past.map(hex), past_ed: m.pastEd.map(hex), seq: m.seq,
      })), kid),
      retain_all: s.retainAll,
      retain: sortBy([...s.retain].map(([track, seconds]) => ({ track, seconds })), (r) => r.track),
      erased: s.erased.map(range),
      grants: sortBy([...s.grants.values()].map((g) => ({
        grant: hex(g.grant), by: hex(g.by), to: hex(g.to), kind: g.kind, tracks: g.tracks.map(range), until: g.until,
        capsule: g.capsule === null ? '' : hex(g.capsule), standing: g.standing,
        release: hex(g.release ?? new Uint8Array()), mask: hex(g.mask ?? new Uint8Array()), seq: g.seq, revoked: g.revoked,
      })), (g) => g.grant),
      hubs: [...s.hubs.keys()].sort(),
      cameras: sortBy([...s.cameras.values()].map((c) => ({
        camera: hex(c.camera), tracks: sortBy(c.tracks.map((t) => ({ track: hex(t.track), kind: t.kind })), (t) => t.track),
      })), (c) => c.camera),
      recipients: recipients(s, v.now).map((r) => ({ kid: hex(r.kid), tracks: r.tracks.map(hex), windows: r.windows.map(range) })),
    };
  }

  it('applies the whole chain, with the state after each statement', async () => {
    expect(v.chain.length).toBeGreaterThan(5);
    let s: ChainState | null = null;
    for (const c of v.chain) {
      const note = parseNote(utf8(c.note));
      const { head, body } = parseStatement(note);
      expect(fromUtf8(statementText(head, body))).toBe(fromUtf8(note.text));
      s = await apply(s, note, v.now);
      expect(vectorOf(s), c.name).toEqual(normal(c.state));
      expect(hex(s.household)).toBe(v.household);
    }
  });

  function normal(s: StateVector): StateVector {
    return {
      ...s,
      hubs: s.hubs ?? [],
      cameras: s.cameras ?? [],
      members: s.members.map((m) => ({ ...m, tracks: m.tracks ?? [] })),
      recipients: s.recipients.map((r) => ({ ...r, tracks: r.tracks ?? [] })),
    };
  }

  it.each(v.reject)('refuses: $name', async ({ after, now, note }) => {
    const before = await upTo(after);
    await expect((async () => apply(before, parseNote(utf8(note)), now))()).rejects.toThrow();
  });

  it.runIf(file === 'statements')('reads the grant of the protocol', async () => {
    await checkNote(v.grant);
    const { head, body } = parseStatement(parseNote(utf8(v.grant.note)));
    expect(body).toMatchObject({ type: 'grant', kind: 'staff', purpose: 'support:48213', until: 1790086400, release: null });
    expect(fromUtf8(statementText(head, body))).toBe(v.grant.text);
  });
});

describe('epoch and heads notes', () => {
  const e = load<{
    hub_seed: string; household: string; hub: string; n: number; prev: string; epoch: string; start: number; clock_synced: boolean;
    chain_seq: number; chain_hash: string; proof_time: number; signer_pub: string;
    roots: { track: string; root: string; commit: string }[];
    seal_lines: { kid: string; hash: string }[]; seals: string;
    capsules: { x_seed: string; capsule: string; entries: { epoch: string; track: string; level: number; index: number; key: string }[] }[];
    last: { track: string; epoch: string; seq: number; hash: string }[];
    note: NoteVector; first: NoteVector; reject: RejectedNote[];
  }>('epoch.json');
  const h = load<{ time: number; n: number; log_size: number; heads: { track: string; seq: number; hash: string }[]; note: NoteVector; reject: RejectedNote[] }>('heads.json');

  it('reads the epoch note', async () => {
    await checkNote(e.note);
    await checkNote(e.first);
    const n = parseEpochNote(parseNote(utf8(e.note.note)));
    expect([hex(n.household), hex(n.hub), n.n, hex(n.prev), hex(n.epoch), n.start]).toEqual([e.household, e.hub, e.n, e.prev, e.epoch, e.start]);
    expect([n.clockSynced, n.chain.seq, hex(n.chain.hash), n.chain.proofTime, hex(n.signer)]).toEqual([e.clock_synced, e.chain_seq, e.chain_hash, e.proof_time, e.signer_pub]);
    expect([...n.tracks].map(([track, commit]) => [track, hex(commit)])).toEqual(e.roots.map((r) => [r.track, r.commit]));
    expect(n.last.map((l) => [hex(l.track), hex(l.epoch), l.seq, hex(l.hash)])).toEqual(e.last.map((l) => [l.track, l.epoch, l.seq, l.hash]));
    expect(hex(n.seals)).toBe(e.seals);
  });

  it('recomputes commitments and seals', () => {
    for (const r of e.roots) expect(hex(rootCommit(unhex(r.root), concat(unhex(e.epoch), unhex(r.track))))).toBe(r.commit);
    expect(hex(sealsHash(e.seal_lines.map((l) => ({ kid: unhex(l.kid), hash: unhex(l.hash) }))))).toBe(e.seals);
  });

  it('opens every recipient’s capsule', async () => {
    expect(e.capsules.length).toBeGreaterThan(0);
    for (const c of e.capsules) {
      const key = await sealingKey(unhex(c.x_seed));
      const entries = parseCapsule(await openCapsule([key], unhex(e.household), unhex(e.epoch), unhex(c.capsule)));
      expect(entries.map((x) => [hex(x.epoch), hex(x.track), x.level, x.index, hex(x.key)])).toEqual((c.entries ?? []).map((x) => [x.epoch, x.track, x.level, x.index, x.key]));
    }
  });

  it('reads the heads note', async () => {
    await checkNote(h.note);
    const n = parseHeads(parseNote(utf8(h.note.note)));
    expect([n.n, n.time, n.log.size]).toEqual([h.n, h.time, h.log_size]);
    expect([...n.heads.values()].map((x) => [hex(x.track), x.seq, hex(x.hash)])).toEqual(h.heads.map((x) => [x.track, x.seq, x.hash]));
  });

  it.each([...e.reject, ...h.reject])('refuses: $name', ({ note }) => {
    expect(() => { readNote(utf8(note)); }).toThrow();
  });
});

describe('capsules', () => {
  const v = load<{ plaintext: string; empty: string; x_seed: string; kid: string; household: string; scope: string; sealed: string; hash: string; entries: unknown[]; must_not_open: Reject[]; reject: Reject[] }>('capsule.json');

  it('opens to its plaintext', async () => {
    const key = await sealingKey(unhex(v.x_seed));
    expect(hex(key.kid)).toBe(v.kid);
    const plain = await openCapsule([key], unhex(v.household), unhex(v.scope), unhex(v.sealed));
    expect(hex(plain)).toBe(v.plaintext);
    expect(parseCapsule(plain)).toHaveLength(v.entries.length);
    expect(parseCapsule(unhex(v.empty))).toEqual([]);
    expect(hex(H(unhex(v.sealed)))).toBe(v.hash);
  });

  it.each(v.must_not_open)('does not open: $name', async ({ bytes }) => {
    const key = await sealingKey(unhex(v.x_seed));
    await expect(openCapsule([key], unhex(v.household), unhex(v.scope), unhex(bytes))).rejects.toThrow();
  });

  it.each(v.reject)('refuses: $name', ({ bytes }) => {
    expect(() => parseCapsule(unhex(bytes))).toThrow();
  });
});

describe('letters', () => {
  const v = load<{ x_seed: string; x_pub: string; kid: string; household: string; text: string; sealed: string; must_not_open: Reject[] }>('letter.json');

  it('opens to its text, and under this household only', async () => {
    const key = await sealingKey(unhex(v.x_seed));
    expect([hex(key.publicKey), hex(key.kid)]).toEqual([v.x_pub, v.kid]);
    const other = await newSealingKey();
    expect(fromUtf8(await openLetter(unhex(v.household), [other, key], unhex(v.sealed)))).toBe(v.text);
    await expect(openLetter(new Uint8Array(16), [key], unhex(v.sealed))).rejects.toThrow();
    await expect(openLetter(unhex(v.household), [other], unhex(v.sealed))).rejects.toThrow();
    expect(await openLabel(unhex(v.household), [key], unhex(v.sealed))).toBe(v.text);
  });

  it.each(v.must_not_open)('does not open: $name', async ({ bytes }) => {
    const key = await sealingKey(unhex(v.x_seed));
    await expect((async () => openLetter(unhex(v.household), [key], unhex(bytes)))()).rejects.toThrow();
    expect(await openLabel(unhex(v.household), [key], unhex(bytes))).toBe('');
  });

  it('cuts a label to 120 bytes, and shows no control characters', async () => {
    const key = await newSealingKey();
    const [house, long] = [random(16), '🔑'.repeat(40)];
    const sealed = await sealLabel(house, key.publicKey, `\u0007\u202e${long}`);
    expect(await openLabel(house, [key], sealed)).toBe('🔑'.repeat(30));
  });
});

describe('codes', () => {
  const v = load<{
    codes: { raw: string; code: string; typed: string[]; pairing_secret: string; rendezvous: string; recovery_secret: string; recovery_id: string; recovery_sign_pub: string }[];
    reject: { name: string; code: string }[];
  }>('code.json');

  it.each(v.codes)('$code', async (c) => {
    const code = new Code(unhex(c.raw));
    expect(code.reveal()).toBe(c.code);
    for (const typed of c.typed) expect(parseCode(typed).equals(code), typed).toBe(true);
    expect(hex(code.pairingSecret())).toBe(c.pairing_secret);
    expect(hex(code.rendezvous())).toBe(c.rendezvous);
    expect(hex(code.recoverySecret())).toBe(c.recovery_secret);
    expect(hex(code.recoveryId())).toBe(c.recovery_id);
    expect(hex((await code.recoverySigner()).publicKey)).toBe(c.recovery_sign_pub);
  });

  it.each(v.reject)('refuses: $name', ({ code }) => {
    expect(() => parseCode(code)).toThrow('code:');
  });
});

describe('vault and wraps', () => {
  const v = load<{
    vk: string; version: number; sealed: string; ed_seed: string; x_seeds: string[]; ktag: string; household: string; seq: number; hash: string;
    used_sealed: string; policy: string; must_not_open: Reject[]; wraps: { kind: number; secret: string; credential?: string; sealed: string }[]; reject_wrap: Reject[];
  }>('vault.json');

  it('opens the vault', async () => {
    const { vault, version } = await openVault(unhex(v.vk), unhex(v.sealed));
    expect([version, vaultVersion(unhex(v.sealed))]).toEqual([v.version, v.version]);
    expect([hex(vault.edSeed), vault.xSeeds.map(hex), vault.ktag === null ? '' : hex(vault.ktag)]).toEqual([v.ed_seed, v.x_seeds, v.ktag]);
    expect([hex(vault.household), vault.seq, hex(vault.hash)]).toEqual([v.household, v.seq, v.hash]);
    expect([vault.used, vault.policy]).toEqual([false, null]);
    const { vault: later } = await openVault(unhex(v.vk), unhex(v.used_sealed));
    expect([later.used, later.policy]).toEqual([true, v.policy]);
  });

  it.each(v.must_not_open)('does not open: $name', async ({ bytes }) => {
    await expect(openVault(unhex(v.vk), unhex(bytes))).rejects.toThrow();
  });

  it('opens each wrap with its secret', async () => {
    expect(v.wraps.length).toBeGreaterThan(1);
    for (const w of v.wraps) {
      expect(wrapKind(unhex(w.sealed))).toBe(w.kind);
      expect(hex(await openWrap(unhex(w.secret), unhex(w.sealed)))).toBe(v.vk);
    }
  });

  it.each(v.reject_wrap)('refuses: $name', async ({ bytes }) => {
    const recovery = v.wraps.find((w) => w.kind === 2);
    await expect((async () => openWrap(unhex(recovery?.secret ?? ''), unhex(bytes)))()).rejects.toThrow();
  });
});

describe('pairing', () => {
  const v = load<{
    code: string; household: string;
    offers: { role: number; ed: string; x: string; recovery: string; nonce: string; offer_mail: string; seq: number; hash: string; answer_mail: string; safety_code: string; digits: string }[];
    reject: { name: string; kind: string; mail: string }[];
  }>('pairing.json');

  it('reads offers and writes the answers', () => {
    expect(v.offers.length).toBeGreaterThan(0);
    const code = parseCode(v.code);
    for (const o of v.offers) {
      const offer = openOffer(code, unhex(o.offer_mail));
      expect([offer.role, hex(offer.ed), hex(offer.x)]).toEqual([o.role === 1 ? 'hub' : 'member', o.ed, o.x]);
      expect(hex(sealAnswer(code, offer, unhex(v.household), o.seq, unhex(o.hash)))).toBe(o.answer_mail);
      expect([offerDigits(offer), safetyCode(unhex(v.household), offer.ed, offer.x)]).toEqual([o.digits, o.safety_code]);
    }
  });

  it('writes a member’s offer and reads its answer', () => {
    const code = parseCode(v.code);
    const o = v.offers.find((x) => x.role === 2);
    const offer = memberOffer({ ed: unhex(o?.ed ?? ''), x: unhex(o?.x ?? ''), recovery: unhex(o?.recovery ?? ''), nonce: unhex(o?.nonce ?? '') });
    expect(hex(sealOffer(code, offer))).toBe(o?.offer_mail);
    const answer = openAnswer(code, offer, unhex(o?.answer_mail ?? ''));
    expect([hex(answer.household), answer.seq, hex(answer.hash)]).toEqual([v.household, o?.seq, o?.hash]);
  });

  it.each(v.reject.filter((r) => r.kind === 'answer'))('refuses: $name', ({ mail }) => {
    const offer = openOffer(parseCode(v.code), unhex(v.offers[0]?.offer_mail ?? ''));
    expect(() => openAnswer(parseCode(v.code), offer, unhex(mail))).toThrow();
  });

  it.each(v.reject.filter((r) => r.kind === 'offer'))('refuses: $name', ({ mail }) => {
    expect(() => openOffer(parseCode(v.code), unhex(mail))).toThrow();
  });
});

describe('the notes of the desk', () => {
  const v = load<{ opening: NoteVector; reject_opening: RejectedNote[]; desk: NoteVector; reject_desk: RejectedNote[]; applicant: NoteVector; message: NoteVector; health: NoteVector; reject_letters: RejectedNote[]; entries: { name: string }[] }>('desk.json');

  it('reads and writes an opening', async () => {
    await checkNote(v.opening);
    const o = parseOpening(parseNote(utf8(v.opening.note)));
    expect(o.entries).toHaveLength(v.entries.length);
    expect(fromUtf8(openingText(o))).toBe(v.opening.text);
  });

  it('reads and writes a sign-in', async () => {
    await checkNote(v.desk);
    expect(fromUtf8(deskText(parseDesk(parseNote(utf8(v.desk.note)))))).toBe(v.desk.text);
  });

  it('reads and writes an applicant, a message and a report of health', async () => {
    for (const n of [v.applicant, v.message, v.health]) await checkNote(n);
    expect(fromUtf8(applicantText(await parseApplicant(parseNote(utf8(v.applicant.note)))))).toBe(v.applicant.text);
    expect(fromUtf8(messageText(parseMessage(parseNote(utf8(v.message.note)))))).toBe(v.message.text);
    expect(fromUtf8(healthText(parseHealth(parseNote(utf8(v.health.note)))))).toBe(v.health.text);
  });

  it.each(v.reject_letters)('refuses: $name', async ({ note }) => {
    await expect((async () => {
      const n = parseNote(utf8(note));
      if (n.type === 'applicant') await parseApplicant(n);
      else readNote(utf8(note));
    })()).rejects.toThrow();
  });

  it.each([...v.reject_opening, ...v.reject_desk])('refuses: $name', ({ note }) => {
    expect(() => readNote(utf8(note))).toThrow();
  });
});

describe('login and command', () => {
  const l = load<{ household: string; by: string; server: string; nonce: string; time: number; note: NoteVector; reject: RejectedNote[] }>('login.json');
  const c = load<{ household: string; hub: string; by: string; time: number; nonce: string; op: string; args: string; note: NoteVector; reject: RejectedNote[]; hub_x_seed: string; hub_x_kid: string; info: string; sealed: string }>('command.json');

  it('writes the login text', () => {
    const text = composeText('login', [['household', b64(unhex(l.household))], ['by', b64(unhex(l.by))], ['server', l.server], ['nonce', b64(unhex(l.nonce))], ['time', String(l.time)]]);
    expect(fromUtf8(text)).toBe(l.note.text);
  });

  it('reads both', async () => {
    await checkNote(l.note);
    await checkNote(c.note);
    const login = parseLogin(parseNote(utf8(l.note.note)));
    expect([hex(login.household), hex(login.by), login.server, hex(login.nonce), login.time]).toEqual([l.household, l.by, l.server, l.nonce, l.time]);
    expect(fromUtf8(loginText(login))).toBe(l.note.text);
    const command = parseCommand(parseNote(utf8(c.note.note)));
    expect([hex(command.hub), hex(command.by), command.time, hex(command.nonce), command.op, fromUtf8(command.args)]).toEqual([c.hub, c.by, c.time, c.nonce, c.op, c.args]);
    expect(fromUtf8(commandText(command))).toBe(c.note.text);
  });

  it.each([...l.reject, ...c.reject])('refuses: $name', ({ note }) => {
    expect(() => { readNote(utf8(note)); }).toThrow();
  });

  it('names the same recipient and purpose for a sealed command', async () => {
    const key = await sealingKey(unhex(c.hub_x_seed));
    expect(hex(key.kid)).toBe(c.hub_x_kid);
    const sealed = unhex(c.sealed);
    expect(fromUtf8(sealed.slice(0, 4))).toBe('LKX1');
    const info = concat(utf8('latchkey/v1 command'), new Uint8Array(1), unhex(c.household), key.kid);
    expect(hex(info)).toBe(c.info);
    expect(fromUtf8(await key.open(info, sealed.slice(20, 1140), sealed.slice(1140)))).toBe(c.note.note);
  });
});

describe('parts', () => {
  const p = load<{ valid: string; reject: Reject[] }>('part.json');
  const r = load<{ valid: { inner: string; records: { type: number; data: string }[] }[]; padded: { kind: string; len: number; padded: number }[]; reject: Reject[] }>('records.json');

  it('reads one part', () => {
    expect(hex(parsePart(unhex(p.valid)).raw)).toBe(p.valid);
  });

  it.each(p.reject)('refuses: $name', ({ bytes }) => {
    expect(() => parsePart(unhex(bytes))).toThrow();
  });

  it('reads records', () => {
    for (const v of r.valid) expect(parseRecords(unhex(v.inner)).map((x) => ({ type: x.type, data: hex(x.data) }))).toEqual(v.records ?? []);
  });

  it('pads pictures and sound', () => {
    const media = r.padded.filter((x) => x.kind !== 'meta' && x.padded > 0);
    expect(media.length).toBeGreaterThan(0);
    for (const x of media) expect(paddedMedia(x.len), `${x.kind} ${x.len}`).toBe(x.padded);
  });

  it.each(r.reject)('refuses: $name', ({ bytes }) => {
    expect(() => parseRecords(unhex(bytes))).toThrow();
  });
});

describe('runs', () => {
  const v = load<{
    signer_seed: string; signer_pub: string; epoch_note_hash: string; epoch: string;
    tracks: { track: string; kind: string; root: string; parts: { slot: number; seq: number; leaf: string; inner_sha256: string; hash: string; part: string; records: { type: number; data: string }[] }[] }[];
    broken: { name: string; prev: string; parts: string[] }[];
    must_not_open: { name: string; track: string; root: string; prev: string; parts: string[] }[];
  }>('run.json');

  async function epochWith(trees: ReadonlyMap<string, HeldTree>): Promise<OpenEpoch> {
    const n = load<{ note: NoteVector }>('epoch.json').note.note;
    const note = parseEpochNote(parseNote(utf8(n)));
    return { note: { ...note, epoch: unhex(v.epoch) }, hash: unhex(v.epoch_note_hash), verify: await verifier(unhex(v.signer_pub)), trees, sealedTo: new Set(), leftOut: false, stray: 0 };
  }

  it('opens both whole tracks', async () => {
    expect(v.tracks.length).toBe(2);
    for (const t of v.tracks) {
      const tree = new HeldTree([{ level: 0, index: 0, key: unhex(t.root) }]);
      const run = t.parts.map((x) => parsePart(unhex(x.part)));
      const opened = await openRun(await epochWith(new Map([[t.track, tree]])), run, null);
      expect(opened.map((o) => hex(o.hash))).toEqual(t.parts.map((x) => x.hash));
      expect(opened.map((o) => o.records.map((x) => ({ type: x.type, data: hex(x.data) })))).toEqual(t.parts.map((x) => x.records ?? []));
      for (const x of t.parts) expect(hex(tree.leaf(x.slot))).toBe(x.leaf);
    }
  });

  it.each(v.broken)('does not verify: $name', async ({ prev, parts }) => {
    const check = await verifier(unhex(v.signer_pub));
    await expect((async () => verifyRun(check, unhex(prev), parts.map((x) => parsePart(unhex(x)))))()).rejects.toThrow();
  });

  it.each(v.must_not_open)('verifies and does not open: $name', async ({ track, root, prev, parts }) => {
    const run = parts.map((x) => parsePart(unhex(x)));
    const check = await verifier(unhex(v.signer_pub));
    await verifyRun(check, unhex(prev), run);
    const epoch = await epochWith(new Map([[track, new HeldTree([{ level: 0, index: 0, key: unhex(root) }])]]));
    const first = run[0]?.header;
    const before = first === undefined || first.seq === 0 ? null : { seq: first.seq - 1, hash: unhex(prev) };
    await expect(openRun(epoch, run, before)).rejects.toThrow();
  });

  it('hashes parts as the format says', async () => {
    const part = v.tracks[0]?.parts[0];
    expect(hex(await partHash(parsePart(unhex(part?.part ?? ''))))).toBe(part?.hash);
    expect(hex((await signer(unhex(v.signer_seed))).publicKey)).toBe(v.signer_pub);
    expect(hex(kidOf(unhex(v.signer_pub)))).toHaveLength(32);
    expect(parseB64(b64(unhex(v.epoch)), 16)).not.toBeNull();
    expect(kdf(unhex(v.epoch_note_hash), 'tree', new Uint8Array(1))).toHaveLength(32);
  });
});
