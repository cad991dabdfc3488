// A page that uses the documented recipe: who joins which call stands behind the `#` of its address.
import { join } from './recipe.js';

const { callId, token } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const say = (text) => (document.getElementById('said').textContent = text);
document.getElementById('join').addEventListener('click', () =>
  join(callId, token).then(
    () => say('joined'),
    (error) => say(String(error)),
  ),
);
