// The dashboard: who is signed in, which view is shown, and whether the server answers. What a view shows is its own.
import { CallView } from './call.js';
import { $, set, show, write } from './dom.js';
import { clockTime } from './format.js';
import { HistoryView } from './history.js';
import { MoneyView } from './money.js';
import { Node } from './node.js';
import { Nodes } from './nodes.js';
import { Overview } from './overview.js';
import { PersonView } from './person.js';
import { Poller } from './poller.js';
import { sentence, session } from './session.js';
import { WebhooksView } from './webhooks.js';

const poller = new Poller(told);
const node = new Node(poller);
const nodes = new Nodes(poller);
const overview = new Overview(poller, node);
const callView = new CallView(poller);
const historyView = new HistoryView(poller);
const personView = new PersonView(poller);
const routes = [
  [/^#\/calls\/(.+)$/, callView],
  [/^#\/history(?:\?(.*))?$/, historyView],
  [/^#\/people(?:\/(user|otomo)\/(.+))?$/, personView],
  [/^#\/money$/, new MoneyView(poller)],
  [/^#\/webhooks$/, new WebhooksView(poller)],
  [/^/, overview],
];
const views = routes.map(([, one]) => one);
const pages = $('pages').querySelectorAll('a');
let view = null;
let left = ''; // the address of the view that is shown
let list = null; // where a call was found that is looked at now
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
  const { hash } = location;
  if (view && hash && !hash.startsWith('#/')) return; // the skip link
  const before = view;
  before?.stop();
  if ([historyView, personView].includes(before)) list = { name: before.name, hash: left };
  else if (before !== callView) list = null;
  left = hash;
  const [pattern, chosen] = routes.find(([one]) => one.test(hash));
  view = chosen;
  for (const one of views) show(one.element, one === view);
  view.start(...hash.match(pattern).slice(1).map(decoded(view)));
  if (view === callView && list) callView.comeFrom(list);
  for (const page of pages) set(page, 'aria-current', page.hash === view.place && 'page');
  document.title = `${view.name} · voiceplane admin`;
  if (view === historyView && before === view) return; // a search of its own page: whoever asked stays where they are
  scrollTo(0, 0);
  if (focus) view.title.focus();
}

// A part of the address as it was meant; a query is the view's own to read.
const decoded = (of) => (part) => {
  try {
    return part === undefined || of === historyView ? part : decodeURIComponent(part);
  } catch {
    return part; // somebody typed a percent sign
  }
};

function signedIn() {
  show($('login'), false);
  for (const one of [$('pages'), $('drain'), $('sign-out')]) show(one, true);
  node.start();
  nodes.start();
  route();
}

function signOut(why = '') {
  session.signOut();
  document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close());
  view?.stop();
  view = updated = list = null;
  for (const one of views) one.forget?.(); // whoever sits here next sees nobody's calls and points
  node.stop();
  nodes.stop?.();
  for (const gone of [...views.map((one) => one.element), $('pages'), $('drain'), $('sign-out'), $('offline'), $('ready')])
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
