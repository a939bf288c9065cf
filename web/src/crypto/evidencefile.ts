/** A range of a camera's footage as evidence, made here. */
import { type EvidenceSource, makeEvidence } from '../evidence/make';
import type { Download, DownloadProgress } from '../owner/types';
import { type DownloadSource, filename, gapsWith, Meter } from './download';
import type { Fault } from './reader';

/** What evidence takes besides. */
export type EvidenceRoom = Pick<EvidenceSource, 'api' | 'chain' | 'epochs' | 'log' | 'policy'>;

/** The range as a file that proves itself; what does not verify is no file. Throws as download does. */
export async function downloadEvidence(s: DownloadSource, room: EvidenceRoom, progress: (p: DownloadProgress) => void, signal: AbortSignal): Promise<Download> {
  const meter = new Meter(s.from, s.to, progress);
  const faults: Fault[] = [];
  const onFault = (f: Fault): void => {
    faults.push(f);
    s.onFault(f);
  };
  const { footage, video, audio, from, to } = s;
  const blob = await makeEvidence({ ...room, footage, video, audio, from, to, onFault, read: (bytes, at) => { meter.add(bytes, at); } }, signal);
  return { blob, filename: filename(s.name, s.from, 'lkx'), gaps: gapsWith(s.gaps, faults) };
}
