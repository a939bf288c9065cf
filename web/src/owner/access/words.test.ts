import { describe, expect, it } from 'vitest';
import type { CameraId, Kid } from '../types';
import type { AccessRow, Decision, Given, Party } from './types';
import { camerasOf, chosen, filterOf, isAddition, purposeWords, rowWords, served } from './words';

const now = new Date(2026, 10, 24, 12).getTime();
const ann: Party = { kid: 'a'.repeat(32) as Kid, name: 'Ann', me: true };
const sam: Party = { kid: 'b'.repeat(32) as Kid, name: 'Sam', me: false };
const gone: Party = { kid: 'c'.repeat(32) as Kid, name: '', me: false };
const porch = { camera: 'd'.repeat(32) as CameraId, name: 'Porch' };
const row = (by: Party, what: Decision): AccessRow => ({ seq: 7, at: now, by, what, hash: '', leaf: 1, covered: true });
const given = (part: Partial<Given> = {}): Given => ({ kind: 'link', to: null, purpose: 'share', standing: false, ended: null, until: now + 1, footage: [{ ...porch, sound: true, from: now - 60_000, until: now }], ...part });
const title = (by: Party, what: Decision): string => rowWords(row(by, what), now).title;
const details = (by: Party, what: Decision): string => rowWords(row(by, what), now).details.join(' ');

describe('a statement in words', () => {
  it('names who did it and whom it is about', () => {
    expect(title(ann, { type: 'founded' })).toBe('You founded the home.');
    expect(title(sam, { type: 'removed', person: gone })).toBe('Sam removed somebody.');
    expect(title(gone, { type: 'member', person: ann, role: 'admin', share: true, sees: 'all', before: null })).toBe('Somebody let in you as an admin.');
    expect(title(sam, { type: 'unhub', hub: gone })).toBe('Sam removed the hub a hub.');
  });

  it('tells how keys were replaced', () => {
    const keys = (byCode: boolean, signing: boolean, code: boolean): string => title(sam, { type: 'keys', person: sam, byCode, signing, code });
    expect([keys(true, true, true), keys(false, true, false), keys(false, false, true), keys(false, false, false)]).toEqual([
      'The keys of Sam were replaced with the recovery code.', 'Sam replaced the keys.', 'Sam made a new recovery code.', 'Sam replaced the key that footage is locked for.',
    ]);
  });

  it('tells what was given, and that what was opened may have been kept', () => {
    expect(details(sam, { type: 'given', given: given() })).toMatch(/^Porch with sound, Today 11:59:00 – 12:00:00 Purpose: to look at\. Served until 12:00\.$/);
    expect(details(sam, { type: 'given', given: given({ ended: now - 1, standing: true }) })).toMatch(/New footage, too.*Ended 11:59\. What was opened before may have been kept\.$/);
    expect(details(sam, { type: 'given', given: given({ until: now }) })).toMatch(/Over since 12:00\.$/);
    expect(title(sam, { type: 'opened', seq: 3, keys: 1, given: given({ kind: 'staff' }) })).toBe('The operator’s staff opens footage that it was given.');
    expect(title(sam, { type: 'notice', action: 'ticket-taken', object: '7' })).toBe('Somebody of the operator’s staff took your ticket 7.');
    expect(title(sam, { type: 'notice', action: 'lunch', object: '' })).toBe('The operator’s staff: lunch');
    expect(title(sam, { type: 'ended', seq: 3, given: given({ kind: 'staff' }) })).toBe('Sam ended what was given to the operator’s staff.');
    expect(title(ann, { type: 'given', given: given({ kind: 'member', to: sam }) })).toBe('You gave footage to Sam.');
    expect([purposeWords('support:48213'), purposeWords('history'), purposeWords('something-new')]).toEqual(['for support, 48213', 'footage from before', 'something-new']);
    expect([served(given(), now), served(given({ until: now }), now), served(given({ ended: now }), now)]).toEqual([true, false, false]);
  });

  it('tells rules about footage', () => {
    expect(title(ann, { type: 'retain', camera: null, seconds: 30 * 86_400 })).toBe('You set that all footage without a rule of its own is kept for 30 days.');
    expect(title(ann, { type: 'erase', camera: porch, from: now - 60_000, until: now })).toBe('You had footage of Porch erased.');
    expect(title(ann, { type: 'camera', camera: porch, kinds: ['audio', 'bio'], first: false })).toBe('You let Porch record more: sound, faces.');
  });
});

describe('choosing', () => {
  const link = row(sam, { type: 'given', given: given() });
  it('is by kind, person and camera', () => {
    expect(chosen(link, { filter: 'shared', person: '', camera: '' })).toBe(true);
    expect(chosen(link, { filter: 'sight', person: '', camera: '' })).toBe(false);
    expect(chosen(link, { filter: 'all', person: ann.kid, camera: '' })).toBe(false);
    expect(chosen(link, { filter: 'all', person: sam.kid, camera: porch.camera })).toBe(true);
    expect(chosen(link, { filter: 'all', person: '', camera: 'e'.repeat(32) })).toBe(false);
    // Whoever sees all cameras sees this one.
    expect(chosen(row(ann, { type: 'founded' }), { filter: 'sight', person: '', camera: 'e'.repeat(32) })).toBe(true);
    expect(camerasOf({ type: 'member', person: sam, role: 'member', share: true, sees: [], before: [{ ...porch, sound: false }] })).toHaveLength(1);
  });

  it('has a place for everything', () => {
    expect(filterOf({ type: 'given', given: given({ kind: 'staff' }) })).toBe('staff');
    expect(filterOf({ type: 'opened', seq: 1, keys: 2, given: given({ kind: 'staff' }) })).toBe('staff');
    expect(filterOf({ type: 'notice', action: 'refused', object: 'read-ticket' })).toBe('staff');
    expect(filterOf({ type: 'ended', seq: 1, given: given({ kind: 'member', to: sam }) })).toBe('sight');
    expect(filterOf({ type: 'hub', hub: gone })).toBe('devices');
    expect(filterOf({ type: 'seal', hub: gone, epochs: 1 })).toBeNull();
    expect([isAddition({ type: 'hub', hub: gone }), isAddition({ type: 'unhub', hub: gone }), isAddition({ type: 'removed', person: sam })]).toEqual([true, false, false]);
  });
});
