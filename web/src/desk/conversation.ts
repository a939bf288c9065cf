/** The words and reports of a ticket, as the agent who has it may read them: nothing that is not signed by who says so. */
import type { GetTicketResponse, Ticket } from '../api/latchkey/v1/desk_pb';
import { type Bytes, equal, hex, own } from '../crypto/bytes';
import { random } from '../crypto/cipher';
import { isKind, refuse } from '../crypto/failure';
import { kidOf } from '../crypto/hash';
import { openLetter, sealLetter } from '../crypto/letter';
import { parseNote, signNote, verifyNote } from '../crypto/note';
import { messageText, parseHealth, parseMessage } from '../crypto/opening';
import { nowSeconds } from '../crypto/signin';
import type { Agent } from './keep';
import type { HubReport, Letter, TicketRow } from './messages';

export interface Conversation {
  readonly household: Bytes;
  readonly letters: readonly Letter[];
  readonly leftOut: number;
  readonly hubs: readonly HubReport[];
  /** grant (hex) → the camera's name, as the household told it */
  readonly cameras: ReadonlyMap<string, string>;
  /** X-Wing keys of the household's members */
  readonly readers: readonly Bytes[];
}

export function rowOf(t: Ticket): TicketRow {
  return {
    ticket: Number(t.ticket), topic: t.topic, state: t.state, agent: t.agent, opened: Number(t.openedMs), updated: Number(t.updatedMs), messages: t.messages,
  };
}

export async function readConversation(agent: Agent, ticket: number, res: GetTicketResponse): Promise<Conversation> {
  const household = own(res.ticket?.household ?? new Uint8Array());
  if (household.length !== 16) throw refuse('desk: a ticket of no household');
  const cameras = new Map<string, string>();
  const letters: Letter[] = [];
  const hubs: HubReport[] = [];
  let leftOut = 0;
  for (const sealed of res.letters) {
    const l = await holds(() => readLetter(agent, household, ticket, res, own(sealed)));
    if (l === null) leftOut++;
    else letters.push(l.letter);
    if (l !== null && l.grant !== '') cameras.set(l.grant, l.camera);
  }
  for (const sealed of res.health) {
    const h = await holds(() => readHealth(agent, household, ticket, own(sealed)));
    if (h !== null) hubs.push(h);
  }
  return { household, letters, leftOut, hubs, cameras, readers: res.readers.map((r) => own(r.x)) };
}

/** Null for what does not hold: anybody can write a letter. */
async function holds<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (err) {
    if (isKind(err, 'verify')) return null;
    throw err;
  }
}

async function readLetter(agent: Agent, household: Bytes, ticket: number, res: GetTicketResponse, sealed: Bytes): Promise<{ letter: Letter; grant: string; camera: string }> {
  const note = parseNote(await openLetter(household, [agent.sealing], sealed));
  const m = parseMessage(note);
  if (!equal(m.household, household) || m.ticket !== ticket) throw refuse('desk: a letter of another ticket');
  const mine = equal(m.by, agent.kid);
  const ed = mine ? agent.sign.publicKey : res.readers.map((r) => own(r.ed)).find((key) => equal(kidOf(key), m.by));
  if (ed === undefined) throw refuse('desk: written by nobody of the household');
  await verifyNote(note, ed);
  const letter = { by: mine ? agent.id : '', mine, at: m.time * 1000, words: m.words };
  return { letter, ...(mine ? { grant: '', camera: '' } : aboutOf(m.about)) };
}

/** What a message says to programs; empty where it says nothing. */
function aboutOf(json: string | null): { grant: string; camera: string } {
  try {
    const { v, grant, camera } = JSON.parse(json ?? '{}') as Record<string, unknown>;
    if (v === 1 && typeof grant === 'string' && typeof camera === 'string') return { grant, camera };
  } catch {
    // Nothing for us.
  }
  return { grant: '', camera: '' };
}

async function readHealth(agent: Agent, household: Bytes, ticket: number, sealed: Bytes): Promise<HubReport> {
  const h = parseHealth(parseNote(await openLetter(household, [agent.sealing], sealed)));
  if (!equal(h.household, household) || h.ticket !== ticket || !equal(h.to, agent.sealing.kid)) throw refuse('desk: the report of another ticket');
  return { hub: hex(h.hub), at: h.time * 1000, report: h.report };
}

/** A message to the household's members, and a copy to the writer. With ask it is shown to them as a question for footage. */
export async function sealReply(agent: Agent, ticket: number, c: Conversation, words: string, ask: boolean): Promise<{ kid: Bytes; body: Bytes }[]> {
  const text = messageText({ household: c.household, ticket, by: agent.kid, time: nowSeconds(), nonce: random(16), words, about: ask ? JSON.stringify({ v: 1, ask: 'footage' }) : null });
  const note = await signNote(text, agent.sign);
  return Promise.all([agent.sealing.publicKey, ...c.readers].map(async (x) => ({ kid: kidOf(x), body: await sealLetter(c.household, x, note) })));
}
