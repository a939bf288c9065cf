/** Draws a moving porch for the in-memory home: pictures that differ at every moment. */
export function drawScene(ctx: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D, at: number, hue: number): void {
  const { width, height } = ctx.canvas;
  const sky = ctx.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, `hsl(${hue} 30% 22%)`);
  sky.addColorStop(1, `hsl(${hue} 25% 38%)`);
  ctx.fillStyle = sky;
  ctx.fillRect(0, 0, width, height);
  ctx.fillStyle = `hsl(${hue} 18% 17%)`;
  ctx.fillRect(0, height * 0.72, width, height * 0.28);
  ctx.fillStyle = '#4a3b2c';
  ctx.fillRect(width * 0.62, height * 0.28, width * 0.16, height * 0.5);
  const x = ((at / 9000) % 1) * width;
  ctx.fillStyle = '#d8cfc0';
  ctx.beginPath();
  ctx.arc(x, height * 0.46, height * 0.05, 0, 2 * Math.PI);
  ctx.fill();
  ctx.fillRect(x - height * 0.045, height * 0.52, height * 0.09, height * 0.26);
  ctx.fillStyle = '#fff';
  ctx.font = `${Math.round(height / 16)}px monospace`;
  ctx.fillText(new Date(at).toISOString().slice(11, 22), width * 0.03, height * 0.09);
}
