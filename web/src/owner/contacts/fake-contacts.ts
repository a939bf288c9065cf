/**
 * Trusted contacts of the home in memory. It keeps the contract of
 * {@link HomeContacts} and complains about calls that it forbids.
 */
import { readCode } from '../code';
import type { AppError, Claim, Comeback, HelpInvite, HomeChange, HomeContacts, Kid, PersonRef, Result, Session, TrustedContacts } from '../types';

const DAY = 86_400_000;
const CODE = '9K3V-T0XR-71MD-WQ8C-2HJP-ZN5Y-4AGB-E6FS';
export const FAKE_NEW = 'R8QD-1W5X-KJ0V-7MTC-3HZP-N4Y9-GAB2-E6FS';
export const FAKE_CLAIM_DIGITS = '1407 2296 5381 0094 7713 6250';
const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const no = (kind: AppError['kind'], what: string): { ok: false; error: AppError } => ({
  ok: false, error: { kind, what, safe: 'Nothing was changed.', next: 'Look again and try once more.' },
});
const ref = (name: string): PersonRef => ({ kid: name.toLowerCase().padEnd(32, '0') as Kid, name });

/** A claim as others see it on its third day. */
export function fakeClaim(part: Partial<Claim> = {}): Claim {
  const first = Date.now() - 3 * DAY;
  return {
    id: 'c1', member: ref('Sam'), me: false, by: [ref('Mina')], digits: FAKE_CLAIM_DIGITS.replaceAll(' ', ''), state: 'open', first, until: first + 7 * DAY,
    stoppedBy: null, mayStop: true, mine: true, signed: false, released: false, releaseAt: first + 7 * DAY, ...part,
  };
}

export class FakeContacts implements HomeContacts {
  readonly calls: string[] = [];
  chosen: TrustedContacts | null = null;
  trusting: PersonRef[] = [];
  open: Claim[] = [];
  back: Comeback | null = null;
  /** How the link of help() ends. */
  linked: Result<string> = ok(FAKE_CLAIM_DIGITS);
  /** Names of kids that setContacts may get. */
  people: () => Promise<readonly PersonRef[]> = () => Promise.resolve([]);
  enter: () => Session = () => {
    throw new Error('fake contacts: nobody can come in here');
  };
  readonly #tell: (what: HomeChange) => void;
  #typing = false;

  constructor(tell: (what: HomeChange) => void = () => undefined) {
    this.#tell = tell;
  }

  contacts(): Promise<Result<TrustedContacts | null>> {
    return Promise.resolve(ok(this.chosen));
  }
  async setContacts(kids: readonly Kid[]): Promise<Result<void>> {
    this.calls.push('setContacts');
    structuredClone(kids); // as on the way to the worker
    if (new Set(kids).size !== 3) throw new Error('fake contacts: want three different people');
    const people = await this.people();
    this.chosen = { people: kids.map((kid) => people.find((p) => p.kid === kid) ?? { kid, name: '' }), since: Date.now(), broken: '' };
    this.#tell('contacts');
    return ok(undefined);
  }
  removeContacts(): Promise<Result<void>> {
    this.calls.push('removeContacts');
    this.chosen = null;
    this.#tell('contacts');
    return Promise.resolve(ok(undefined));
  }
  entrusted(): Promise<Result<PersonRef[]>> {
    return Promise.resolve(ok([...this.trusting]));
  }

  help(member: Kid): Promise<Result<HelpInvite>> {
    this.calls.push('help');
    const qr = Array.from({ length: 29 }, (_, y) => Array.from({ length: 29 }, (__, x) => (x * 5 + y * 11 + x * y) % 5 < 2));
    const who = this.trusting.find((p) => p.kid === member);
    if (who === undefined) throw new Error('fake contacts: help for somebody who has not asked');
    return Promise.resolve(ok({
      link: `${typeof location === 'undefined' ? '' : location.origin}/#help=${CODE}`, code: CODE, qr, digits: Promise.resolve(this.linked),
      confirm: () => {
        this.calls.push('confirm');
        this.open = [fakeClaim({ member: who, by: [ref('Ann')], first: Date.now(), until: Date.now() + 7 * DAY, signed: true }), ...this.open];
        this.#tell('contacts');
        return Promise.resolve(ok(undefined));
      },
      cancel: () => void this.calls.push('cancel'),
    }));
  }

  claims(): Promise<Result<Claim[]>> {
    return Promise.resolve(ok([...this.open]));
  }
  #change(call: string, id: string, change: (c: Claim) => Claim): Promise<Result<void>> {
    this.calls.push(call);
    if (!this.open.some((c) => c.id === id && c.state === 'open')) return Promise.resolve(no('refused', 'This is over already.'));
    this.open = this.open.map((c) => (c.id === id ? change(c) : c));
    this.#tell('contacts');
    return Promise.resolve(ok(undefined));
  }
  confirmClaim(id: string): Promise<Result<void>> {
    return this.#change('confirmClaim', id, (c) => ({ ...c, signed: true, by: [...c.by, ref('Ann')] }));
  }
  stopClaim(id: string): Promise<Result<void>> {
    return this.#change('stopClaim', id, (c) => ({ ...c, state: 'stopped', stoppedBy: ref('Ann') }));
  }
  releaseShare(id: string): Promise<Result<void>> {
    const claim = this.open.find((c) => c.id === id);
    const due = claim?.signed === true && (claim.releaseAt ?? Infinity) <= Date.now();
    if (!due) throw new Error('fake contacts: a share before its time');
    return this.#change('releaseShare', id, (c) => ({ ...c, released: true }));
  }

  comeback(): Promise<Result<Comeback | null>> {
    return Promise.resolve(ok(this.back));
  }
  beginComeback(a: { code: string }): Promise<Result<{ code: string }>> {
    this.calls.push('beginComeback');
    if (readCode(a.code).pretty !== CODE) return Promise.resolve(no('wrong-code', 'This link helps nobody.'));
    this.#typing = true;
    return Promise.resolve(ok({ code: FAKE_NEW }));
  }
  meetContact(a: { typed: string }): Promise<Result<Comeback>> {
    this.calls.push('meetContact');
    if (!this.#typing) throw new Error('fake contacts: meetContact before beginComeback');
    if (readCode(a.typed).pretty !== FAKE_NEW) return Promise.resolve(no('wrong-code', 'That is not the code on your sheet.'));
    this.back = { step: 'digits', digits: FAKE_CLAIM_DIGITS.replaceAll(' ', ''), until: null, confirmed: 0, shares: 0 };
    return Promise.resolve(ok(this.back));
  }
  finishComeback(): Promise<Result<Session>> {
    this.calls.push('finishComeback');
    if (this.back?.step !== 'ready') throw new Error('fake contacts: finishComeback before it is ready');
    this.back = null;
    return Promise.resolve(ok(this.enter()));
  }
  abandonComeback(): Promise<Result<void>> {
    this.calls.push('abandonComeback');
    this.back = null;
    return Promise.resolve(ok(undefined));
  }
}
