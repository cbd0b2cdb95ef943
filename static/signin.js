/** The form works without this; with it the token can be looked at. */

import { part } from './dom.js';

const token = part('token', HTMLInputElement);
const reveal = part('reveal', HTMLButtonElement);

reveal.hidden = false;
reveal.addEventListener('click', () => {
  const shown = token.type === 'password';
  token.type = shown ? 'text' : 'password';
  reveal.setAttribute('aria-pressed', String(shown));
  token.focus();
});
if (document.documentElement.dataset.error) token.setAttribute('aria-invalid', 'true');
