/** Arithmetic on stretches of time, half open. */

export interface Span {
  readonly from: number;
  readonly to: number;
}

export function isSome(r: Span): boolean {
  return r.from < r.to;
}

export function clip(r: Span, to: Span): Span {
  return { from: Math.max(r.from, to.from), to: Math.min(r.to, to.to) };
}

/** Spans with others cut out of them. */
export function without(list: readonly Span[], cuts: readonly Span[]): Span[] {
  let out = list.map((r): Span => ({ from: r.from, to: r.to }));
  for (const cut of cuts) {
    out = out.flatMap((r) => {
      const c = clip(cut, r);
      return isSome(c) ? [{ from: r.from, to: c.from }, { from: c.to, to: r.to }].filter(isSome) : [r];
    });
  }
  return out;
}

/** Spans in order, those that touch as one, empty ones left out. */
export function joined(list: readonly Span[]): Span[] {
  const out: { from: number; to: number }[] = [];
  for (const r of list.filter(isSome).sort((a, b) => a.from - b.from)) {
    const last = out[out.length - 1];
    if (last !== undefined && r.from <= last.to) last.to = Math.max(last.to, r.to);
    else out.push({ from: r.from, to: r.to });
  }
  return out;
}
