/** Hands the reader a text as a file. */
export function saveText(text: string, filename: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  link.download = filename;
  link.click();
  // The browser has its own hold on the bytes once the save began.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
