import { takeFragment } from '../link/fragment';

/** An invitation is a secret: it goes out of the address before anything else. Empty when there is none. */
export const takeInvitation = (): string => (location.hash.startsWith('#LKI1.') ? takeFragment() : '');
