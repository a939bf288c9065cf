import { tick } from 'svelte';

/** After a form was refused: to the first field that is wrong, which may be out of sight. */
export async function focusProblem(form: EventTarget | null): Promise<void> {
  await tick();
  if (form instanceof HTMLElement) form.querySelector<HTMLElement>('[aria-invalid="true"], fieldset[data-missing="true"] input[type="checkbox"]')?.focus();
}
