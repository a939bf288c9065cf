/** One day of all cameras as one list, newest first. Pure. */
import { m } from './messages';
import { mc } from './messages-camera';
import type { AppError, Camera, Timeline } from './types';

export type ReviewItem = {
  readonly key: string;
  readonly camera: Camera;
  readonly from: number;
  /** null while it lasts */
  readonly to: number | null;
  readonly words: string;
} & ({ readonly kind: 'event' } | { readonly kind: 'gap'; readonly alarm: boolean });

/** What an event is called; a label without a word of ours is shown as the hub wrote it. */
export const eventName = (label: string): string => mc.timeline.event[label] ?? label;

/** Events and gaps from `from` on. Events mode makes "nothing happened" gaps all day, and what is not shared never will be: those are no news. */
export function review(days: readonly { camera: Camera; timeline: Timeline }[], from: number): ReviewItem[] {
  const items = days.flatMap(({ camera, timeline }): ReviewItem[] => [
    ...timeline.events.map((event): ReviewItem => ({
      kind: 'event', key: `${camera.id} ${event.id}`, camera, from: event.from, to: event.to, words: eventName(event.label),
    })),
    ...timeline.gaps
      .filter((gap) => !['not-recording', 'not-shared'].includes(gap.why) || gap.alarm)
      .map((gap): ReviewItem => ({
        kind: 'gap', key: `${camera.id} gap ${gap.from}`, camera, from: gap.from, to: gap.to, words: gap.words || m.gap[gap.why], alarm: gap.alarm,
      })),
  ]);
  return items.filter((item) => (item.to ?? Infinity) > from).sort((a, b) => b.from - a.from);
}

/** One note a reason, not one a camera: a line that is down concerns them all. */
export function byReason(failures: readonly { camera: Camera; error: AppError }[]): { error: AppError; names: string[] }[] {
  const out = new Map<string, { error: AppError; names: string[] }>();
  for (const { camera, error } of failures) {
    const same = out.get(error.what);
    if (same === undefined) out.set(error.what, { error, names: [camera.name] });
    else same.names.push(camera.name);
  }
  return [...out.values()];
}
