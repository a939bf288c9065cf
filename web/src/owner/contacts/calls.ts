/** What pages ask the worker about trusted contacts; a part of {@link Calls}. */
import type { Claim, Comeback, Kid, PersonRef, Session, TrustedContacts } from '../types';

export interface ContactCalls {
  contacts: { args: null; value: TrustedContacts | null; news: never };
  setContacts: { args: { readonly kids: readonly Kid[] }; value: undefined; news: never };
  removeContacts: { args: null; value: undefined; news: never };
  entrusted: { args: null; value: PersonRef[]; news: never };
  /** The link comes as news; the answer are the digits. */
  help: { args: { readonly member: Kid }; value: { readonly digits: string }; news: HelpNews };
  /** Signs what the last `help` is about. */
  confirmHelp: { args: null; value: undefined; news: never };
  claims: { args: null; value: Claim[]; news: never };
  confirmClaim: { args: { readonly id: string }; value: undefined; news: never };
  stopClaim: { args: { readonly id: string }; value: undefined; news: never };
  releaseShare: { args: { readonly id: string }; value: undefined; news: never };
  comeback: { args: null; value: Comeback | null; news: never };
  beginComeback: { args: { readonly code: string }; value: { readonly code: string }; news: never };
  meetContact: { args: { readonly typed: string }; value: Comeback; news: never };
  finishComeback: { args: null; value: Session; news: never };
  abandonComeback: { args: null; value: undefined; news: never };
}

export interface HelpNews {
  readonly link: string;
  readonly code: string;
  readonly qr: boolean[][];
}

export type ContactHandlers = {
  readonly [K in keyof ContactCalls]: (
    args: ContactCalls[K]['args'],
    news: (n: ContactCalls[K]['news']) => void,
    hearing: { readonly signal: AbortSignal },
  ) => Promise<ContactCalls[K]['value']>;
};
