/** Takes the secret out of the address: no history entry, bookmark, tab list or later request has it. */
export function takeFragment(): string {
  const fragment = location.hash;
  if (fragment !== '') history.replaceState(null, '', location.pathname);
  return fragment;
}
