// Questions before what can't be undone. The browser's own dialog keeps the focus inside, and gives it back.
import { $, write } from './dom.js';
import { sentence } from './session.js';

const settlers = new Map(); // by dialog: ends the question that it asks

// Opens the dialog; `act()` is done when the answer is yes, and a refusal is shown inside. Resolves to whether it was done.
export function ask(id, act) {
  const dialog = $(id);
  const form = dialog.querySelector('form');
  const [problem, yes] = [dialog.querySelector('.problem'), dialog.querySelector('[value=yes]')];
  settlers.get(id)?.(); // one that has just closed: its event is still under way
  write(problem, '');
  dialog.showModal();
  return new Promise((resolve) => {
    const closing = new AbortController();
    const { signal } = closing;
    let done = false;
    const settle = () => {
      closing.abort();
      settlers.delete(id);
      resolve(done);
    };
    settlers.set(id, settle);
    form.addEventListener(
      'submit',
      async (event) => {
        event.preventDefault();
        yes.disabled = true;
        try {
          await act();
          done = true;
          if (!signal.aborted) dialog.close(); // else it was left meanwhile, and may ask about something else
        } catch (error) {
          if (!signal.aborted) write(problem, sentence(error));
        } finally {
          yes.disabled = false;
        }
      },
      { signal },
    );
    dialog.querySelector('[data-close]').addEventListener('click', () => dialog.close(), { signal });
    dialog.addEventListener('close', () => dialog.open || settle(), { signal }); // open: it tells of the question before
  });
}

// Says something to screen readers; the eye sees it anyway.
export function say(text) {
  write($('said'), text);
}
