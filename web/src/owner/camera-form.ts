/** The "add a camera" form as data: what was typed in, what goes to the hub out. */
import type { CameraMode, Kid, NewCamera } from './types';

export interface CameraForm {
  name: string;
  url: string;
  subUrl: string;
  user: string;
  password: string;
  mode: CameraMode;
  audio: boolean;
}

export const emptyForm = (): CameraForm => ({ name: '', url: '', subUrl: '', user: '', password: '', mode: 'continuous', audio: true });

/** rtsp:// or rtsps:// with a host. */
export function isCameraUrl(text: string): boolean {
  return /^rtsps?:\/\/[^\s/]+(\/\S*)?$/i.test(text.trim());
}

/**
 * Takes `user:password@` out of the address into the fields of their own, so
 * that a password never stands in a name or an error. Fields win when filled.
 */
export function splitLogin(form: CameraForm): CameraForm {
  const match = /^(rtsps?:\/\/)([^/@\s]*)@(.*)$/i.exec(form.url.trim());
  if (match === null) return { ...form, url: form.url.trim(), subUrl: form.subUrl.trim() };
  const [, scheme = '', login = '', rest = ''] = match;
  const colon = login.indexOf(':');
  const user = decode(colon < 0 ? login : login.slice(0, colon));
  const password = colon < 0 ? '' : decode(login.slice(colon + 1));
  return { ...form, url: scheme + rest, subUrl: form.subUrl.trim(), user: form.user || user, password: form.password || password };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The request for the hub, optional parts left out where empty. */
export function toNewCamera(form: CameraForm, hub: Kid): NewCamera {
  const clean = splitLogin(form);
  return {
    hub,
    name: clean.name.trim(),
    url: clean.url,
    ...(clean.subUrl === '' ? {} : { subUrl: clean.subUrl }),
    ...(clean.user === '' ? {} : { user: clean.user }),
    ...(clean.password === '' ? {} : { password: clean.password }),
    mode: clean.mode,
    audio: clean.audio,
  };
}
