// The dashboard: who is signed in, which view is shown, and whether the server answers. What a view shows is its own.
import { CallView } from './call.js';
import { $, show, write } from './dom.js';
import { clockTime } from './format.js';
import { Node } from './node.js';
import { Nodes } from './nodes.js';
import { Overview } from './overview.js';
import { Poller } from './poller.js';
import { sentence, session } from './session.js';
import { WebhooksView } from './webhooks.js';

const poller = new Poller(told);
const node = new Node(poller);
const nodes = new Nodes(poller);
const overview = new Overview(poller, node);
const callView = new CallView(poller);
const webhooksView = new WebhooksView(poller);
const views = [overview, callView, webhooksView];
let view = null;
let updated = null;

// After every question: an expired token leads back to the login, whatever else is wrong is shown until it ends.
function told(error) {
  if (error?.code === 'UNAUTHORIZED' || error?.code === 'FORBIDDEN') return signOut(sentence(error));
  if (!error) updated = new Date();
  if (error && !error.code && error.name !== 'TimeoutError') reportError(error); // a mistake of this page
  write(
    $('offline'),
    error ? `${sentence(error)} Trying again.${updated ? ` What you see is of ${clockTime(updated)}.` : ''}` : '',
  );
  show($('offline'), Boolean(error));
  write($('updated'), updated ? `Updated ${clockTime(updated)}` : '');
}

function route({ focus = true } = {}) {
  const call = location.hash.match(/^#\/calls\/(.+)$/)?.[1];
  if (view && location.hash && !location.hash.startsWith('#/')) return; // the skip link
  view?.stop();
  const webhooks = location.hash === '#/webhooks';
  view = call ? callView : webhooks ? webhooksView : overview;
  for (const one of views) show(one.element, one === view);
  view.start(call && decodeURIComponent(call));
  const name = call ? `Call ${decodeURIComponent(call)}` : webhooks ? 'Webhooks' : 'Overview';
  document.title = `${name} · voiceplane admin`;
  scrollTo(0, 0);
  if (focus) view.title.focus();
}

function signedIn() {
  show($('login'), false);
  for (const button of [$('drain'), $('sign-out')]) show(button, true);
  node.start();
  nodes.start();
  route();
}

function signOut(why = '') {
  session.signOut();
  document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close());
  view?.stop();
  view = updated = null;
  node.stop();
  nodes.stop?.();
  for (const gone of [...views.map((one) => one.element), $('drain'), $('sign-out'), $('offline'), $('ready')])
    show(gone, false);
  write($('updated'), '');
  write($('login-problem'), why);
  document.title = 'Sign in · voiceplane admin';
  show($('login'), true);
  $('token').focus();
}

async function signIn(event) {
  event.preventDefault();
  const button = $('login-form').querySelector('button');
  button.disabled = true;
  try {
    await session.signIn($('token').value.trim());
    $('token').value = '';
    write($('login-problem'), '');
    signedIn();
  } catch (error) {
    write($('login-problem'), sentence(error));
    $('token').focus();
  } finally {
    button.disabled = false;
  }
}

$('login-form').addEventListener('submit', signIn);
$('sign-out').addEventListener('click', () => signOut());
addEventListener('hashchange', () => session.token && route());
if (session.token) signedIn();
else signOut();
