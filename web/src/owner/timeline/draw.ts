/** Paints one frame of the timeline. Everything it needs comes in; it keeps nothing. */
import type { Timeline, TimeRange } from '../types';
import { ANCHOR, bars, clamp, endOf, startOf, xAt, type View } from './geometry';
import { ticks } from './ticks';

/** Rows of the canvas in CSS pixels. */
export const HEIGHT = 92;
const RULER = 24;
const BAND = { top: 34, height: 34 };
const EVENT = { top: 28, height: 46 };

export interface Palette {
  readonly ink: string;
  readonly quiet: string;
  readonly line: string;
  readonly raised: string;
  readonly footage: string;
  readonly event: string;
  readonly accent: string;
  readonly alarm: string;
  readonly font: string;
}

export interface Scene {
  readonly view: View;
  readonly timeline: Timeline;
  readonly now: number;
  readonly selection: TimeRange | null;
  readonly ratio: number;
}

/** The colours as they are now, light or dark. */
export function palette(element: Element): Palette {
  const style = getComputedStyle(element);
  const token = (name: string): string => style.getPropertyValue(`--lk-${name}`).trim();
  return {
    ink: token('ink'), quiet: token('quiet'), line: token('line'), raised: token('raised'), footage: token('footage'),
    event: token('event'), accent: token('accent'), alarm: token('alarm'), font: `12px ${style.fontFamily}`,
  };
}

export function draw(ctx: CanvasRenderingContext2D, scene: Scene, colours: Palette): void {
  const { view, ratio } = scene;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, view.width, HEIGHT);
  drawBand(ctx, scene, colours);
  drawNotShared(ctx, scene, colours);
  drawGaps(ctx, scene, colours);
  drawEvents(ctx, scene, colours);
  drawRuler(ctx, view, colours);
  if (scene.selection !== null) drawSelection(ctx, view, scene.selection, colours);
  drawNow(ctx, scene, colours);
  drawPlayhead(ctx, view, colours);
}

function drawBand(ctx: CanvasRenderingContext2D, { view, timeline, now }: Scene, colours: Palette): void {
  const past = clamp(xAt(view, now), 0, view.width);
  ctx.fillStyle = colours.raised;
  ctx.fillRect(0, BAND.top, past, BAND.height);
  ctx.fillStyle = colours.footage;
  for (const bar of bars(view, timeline.ranges)) ctx.fillRect(bar.x, BAND.top, bar.width, BAND.height);
}

/** What nobody shared is no hole: a thin line, as where a thing goes on out of sight. */
function drawNotShared(ctx: CanvasRenderingContext2D, { view, timeline }: Scene, colours: Palette): void {
  for (const bar of bars(view, timeline.gaps.filter((gap) => gap.why === 'not-shared'))) {
    ctx.fillStyle = colours.raised;
    ctx.fillRect(bar.x, BAND.top, bar.width, BAND.height);
    ctx.fillStyle = colours.quiet;
    ctx.fillRect(bar.x, BAND.top + BAND.height / 2, bar.width, 1);
  }
}

function drawGaps(ctx: CanvasRenderingContext2D, { view, timeline }: Scene, colours: Palette): void {
  for (const alarm of [false, true]) {
    const gaps = timeline.gaps.filter((gap) => gap.alarm === alarm && gap.why !== 'not-shared');
    for (const bar of bars(view, gaps)) {
      ctx.fillStyle = colours.raised;
      ctx.fillRect(bar.x, BAND.top, bar.width, BAND.height);
      hatch(ctx, bar.x, bar.width, alarm ? colours.alarm : colours.quiet, alarm ? 2 : 1);
      if (!alarm) continue;
      ctx.fillStyle = colours.alarm;
      ctx.fillRect(bar.x, BAND.top - 4, Math.max(3, bar.width), 4);
    }
  }
}

/** Diagonal lines: a gap is seen without its colour. */
function hatch(ctx: CanvasRenderingContext2D, x: number, width: number, colour: string, thick: number): void {
  if (width < 3) {
    ctx.fillStyle = colour;
    ctx.fillRect(x, BAND.top, width, BAND.height);
    return;
  }
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, BAND.top, width, BAND.height);
  ctx.clip();
  ctx.strokeStyle = colour;
  ctx.lineWidth = thick;
  ctx.beginPath();
  // Lines stand on a grid of the canvas, not of the gap, so that they do not crawl while dragging.
  for (let at = Math.floor((x - BAND.height) / 7) * 7; at < x + width; at += 7) {
    ctx.moveTo(at, BAND.top + BAND.height);
    ctx.lineTo(at + BAND.height, BAND.top);
  }
  ctx.stroke();
  ctx.restore();
}

function drawEvents(ctx: CanvasRenderingContext2D, { view, timeline, now }: Scene, colours: Palette): void {
  ctx.fillStyle = colours.event;
  for (const event of timeline.events) {
    const to = event.to ?? now;
    if (to < startOf(view) || event.from > endOf(view)) continue;
    const x = xAt(view, event.from);
    const width = Math.max(4, xAt(view, to) - x);
    ctx.beginPath();
    ctx.roundRect(x, EVENT.top, width, EVENT.height, 2);
    ctx.fill();
  }
}

function drawRuler(ctx: CanvasRenderingContext2D, view: View, colours: Palette): void {
  ctx.font = colours.font;
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  for (const tick of ticks(view)) {
    ctx.fillStyle = tick.strong ? colours.quiet : colours.line;
    ctx.fillRect(Math.round(tick.x), tick.strong ? 0 : RULER - 8, 1, tick.strong ? BAND.top + BAND.height : 8);
    ctx.fillStyle = tick.strong ? colours.ink : colours.quiet;
    ctx.fillText(tick.label, tick.x + 5, RULER / 2 - 1);
  }
}

function drawSelection(ctx: CanvasRenderingContext2D, view: View, selection: TimeRange, colours: Palette): void {
  const from = xAt(view, selection.from);
  const to = xAt(view, selection.to);
  ctx.globalAlpha = 0.28;
  ctx.fillStyle = colours.accent;
  ctx.fillRect(from, RULER, to - from, HEIGHT - RULER);
  ctx.globalAlpha = 1;
  for (const x of [from, to]) {
    ctx.fillStyle = colours.accent;
    ctx.fillRect(x - 1.5, RULER, 3, HEIGHT - RULER);
    ctx.beginPath();
    ctx.arc(x, HEIGHT - 9, 8, 0, 2 * Math.PI);
    ctx.fill();
  }
}

function drawNow(ctx: CanvasRenderingContext2D, { view, now }: Scene, colours: Palette): void {
  const x = xAt(view, now);
  if (x < 0 || x > view.width) return;
  ctx.fillStyle = colours.accent;
  ctx.fillRect(Math.round(x), BAND.top - 4, 2, BAND.height + 8);
}

function drawPlayhead(ctx: CanvasRenderingContext2D, view: View, colours: Palette): void {
  const x = Math.round(view.width * ANCHOR);
  ctx.fillStyle = colours.ink;
  ctx.fillRect(x - 1, RULER - 4, 2, HEIGHT - RULER + 4);
  ctx.beginPath();
  ctx.moveTo(x - 7, RULER - 6);
  ctx.lineTo(x + 7, RULER - 6);
  ctx.lineTo(x, RULER + 4);
  ctx.fill();
}
