// Every word that the page shows, in both languages. A text with holes is a function.

const en = {
  lang: 'en',
  demo: 'demo',
  language: 'Language',
  title: 'A paid voice call, in two windows',
  intro:
    'One window is the user, who calls and pays. The other one is the otomo, who is called. Sound goes through the server, and only sound that the server received costs points.',
  roleOf: { user: 'You are the user: you call and pay', otomo: 'You are the otomo: you are called' },
  you: 'You',
  other: { user: 'Otomo', otomo: 'User' },
  myLevel: 'Your microphone’s level',
  theirLevel: 'Level of what you hear',
  muted: 'muted',
  time: 'Time',
  points: { user: 'Your points', otomo: 'Charged' },
  nextCharge: 'Next charge',
  openOther: { user: 'Open the otomo’s window', otomo: 'Open the user’s window' },
  call: 'Call',
  accept: 'Accept',
  reject: 'Decline',
  tryAgain: 'Try again',
  useTone: 'Send a test tone instead',
  rejoin: 'Go back into the call',
  unblock: 'Let me hear it',
  mute: 'Mute',
  away: 'Take no calls',
  hangUp: 'Hang up',
  startOver: 'Start over with new points',
  status: {
    starting: 'Connecting to the server …',
    ready: { user: 'Ready to call', otomo: 'Waiting for a call' },
    alone: 'The otomo’s window is not open yet',
    busy: 'The otomo is in a call',
    away: 'The otomo takes no calls now',
    resting: 'You take no calls now',
    microphone: 'Please allow the microphone',
    refused: 'No microphone',
    ringing: 'Ringing …',
    incoming: 'Incoming call',
    joining: 'Connecting the sound …',
    talking: 'Talking',
    silent: 'In the call, but without sound',
    rejoin: 'You are still in a call',
    elsewhere: 'The call is in another window',
    ended: 'The call is over',
    failed: 'That did not work',
  },
  hint: {
    ready: { user: 'The other window is open.', otomo: 'This window rings when the user calls.' },
    alone: 'Open it beside this one, or on another tab.',
    away: 'Users see that you are away. Press the button again to be called.',
    incoming: (price) => (price ? `The user pays ${price} points a minute.` : 'This call is free.'),
    joining: 'The clock starts with the first packet of sound that the server receives.',
    talking: 'Same room? Use headphones, or mute one side.',
    draining: (time) => `The server is about to stop: the call ends at ${time}.`,
    ended: (seconds, points) => `${clock(seconds)} talked, ${points} points charged.`,
    unconnected: 'No sound reached the server, so nothing was charged.',
  },
  ending: (reason, time, needed, role) =>
    reason === 'max_duration'
      ? `The call reaches its longest duration at ${time}, and ends.`
      : `The points are used up at ${time}, and the call ends.${needed ? ` With ${needed} more points it goes on.` : role === 'otomo' ? ' It goes on if the user gets more.' : ''}`,
  fault: {
    unreached: ({ places, loopback }) =>
      `The browser does not reach the server’s media at ${places.join(', ')}. ${
        loopback
          ? 'Firefox uses no loopback address: let media listen on another one, too (RTC_LISTEN_IP).'
          : 'A firewall between, or a wrong RTC_ANNOUNCED_ADDRESS, is the usual reason.'
      }`,
    toneless: () => 'The browser’s audio engine does not start, so there is no test tone. Is there a sound card?',
    unsent: () => 'The browser gets nothing to send from the microphone. Is another program holding it?',
    absent: () => 'The other side has not begun to send.',
    unheard: () => 'Nothing comes from the other side any more, or nothing has come yet.',
  },
  microphoneFailed: {
    denied: 'The browser or you refused the microphone. Allow it in the address bar, then try again.',
    missing: 'No microphone was found. Plug one in, then try again.',
    busy: 'Another program holds the microphone. Close it, then try again.',
    insecure: 'Browsers give a microphone to https and localhost only.',
  },
  reason: {
    manual: 'Somebody hung up.',
    rejected: 'The otomo declined.',
    cancelled: 'The user gave up.',
    timeout: 'Nobody answered in time, or no sound came.',
    low_balance: 'The points are used up.',
    max_duration: 'The call reached its longest duration.',
    silence: 'Nobody spoke for a long time.',
    rtp_stopped: 'One side’s sound stopped.',
    disconnect: 'One side’s window was closed.',
    network_failed: 'One side’s network failed.',
    admin: 'An admin ended it.',
    banned: 'An admin keeps one side out.',
    worker_died: 'The media server failed.',
    node_lost: 'The server failed.',
    system_error: 'The server was stopped.',
  },
  stepsTitle: 'One minute',
  stepOpen: 'Open both sides',
  stepOpenMore: 'Two windows of this page, with one button.',
  stepCall: 'Call and accept',
  stepCallMore: 'Ringing goes over the WebSocket, sound over WebRTC to the server.',
  stepTalk: 'Talk, and watch the points',
  stepTalkMore: (price, seconds) =>
    `${price} points for every ${seconds} s that both sides were heard. A muted or silent side still counts, a lost one does not.`,
  stepEnd: 'Hang up, or don’t',
  stepEndMore: 'Close a window: the server notices that sound stopped, and ends the call by itself.',
  othersTitle: 'Who is there',
  othersMore: 'All otomos of this server, as every user sees them.',
  statusOf: { online: 'free', away: 'away', busy: 'in a call' },
  logTitle: 'What the server says',
  logMore: 'Events as they come over the WebSocket.',
  lost: 'The connection to the server is lost. The call goes on; reconnecting …',
  replaced: 'Too many windows are open for this side. Close some, then reload this page.',
  errors: {
    FLOOD: 'The server has paused this microphone: it sent too much.',
    OFF: 'The demo is switched off on this server.',
    OTOMO_OFFLINE: 'The otomo’s window is not open.',
    OTOMO_BUSY: 'The otomo is in a call.',
    BLOCKED: 'The otomo has blocked you.',
    BANNED: 'An admin keeps you out.',
    CALLER_BUSY: 'You are in a call already.',
    INSUFFICIENT_POINTS: 'Your points do not cover another minute.',
    DRAINING: 'The server is about to stop and takes no new calls.',
    WORKER_UNAVAILABLE: 'The media server can’t be reached right now.',
    RATE_LIMITED: 'That was too often. Wait a moment.',
    CALL_LIMIT_EXCEEDED: 'That was too many calls. Wait a minute.',
    INVALID_CALL_STATE: 'The call is over, or not there yet.',
    NETWORK: 'The server does not answer.',
  },
  another: (code) => `The server refused: ${code}`,
};

const ja = {
  lang: 'ja',
  demo: 'デモ',
  language: '言語',
  title: '二つのウィンドウで試す、有料音声通話',
  intro:
    '一方が発信して支払うユーザー、もう一方が着信するおともはんです。音声はサーバーを経由し、サーバーが実際に受信した音声だけが課金の対象になります。',
  roleOf: { user: 'あなたはユーザー（発信・支払い）です', otomo: 'あなたはおともはん（着信）です' },
  you: 'あなた',
  other: { user: 'おともはん', otomo: 'ユーザー' },
  myLevel: 'マイクの音量',
  theirLevel: '相手の音量',
  muted: 'ミュート中',
  time: '通話時間',
  points: { user: '残りポイント', otomo: '課金ポイント' },
  nextCharge: '次の課金',
  openOther: { user: 'おともはん側を開く', otomo: 'ユーザー側を開く' },
  call: '発信する',
  accept: '応答する',
  reject: '拒否する',
  tryAgain: 'もう一度試す',
  useTone: 'テスト音を送る',
  rejoin: '通話に戻る',
  unblock: '音声を再生する',
  mute: 'ミュート',
  away: '着信を受けない',
  hangUp: '通話を終える',
  startOver: '新しいポイントでやり直す',
  status: {
    starting: 'サーバーに接続しています…',
    ready: { user: '発信できます', otomo: '着信を待っています' },
    alone: 'おともはん側がまだ開かれていません',
    busy: 'おともはんは通話中です',
    away: 'おともはんは離席中です',
    resting: '着信を受けていません',
    microphone: 'マイクの使用を許可してください',
    refused: 'マイクを使えません',
    ringing: '呼び出しています…',
    incoming: '着信中',
    joining: '音声を接続しています…',
    talking: '通話中',
    silent: '通話中ですが、音声が届いていません',
    rejoin: '通話が続いています',
    elsewhere: '別のウィンドウで通話中です',
    ended: '通話が終了しました',
    failed: 'エラーが発生しました',
  },
  hint: {
    ready: { user: '相手側のウィンドウが開いています。', otomo: 'ユーザーが発信すると、ここに着信します。' },
    alone: '隣のウィンドウか、別のタブで開いてください。',
    away: 'ユーザーには離席中と表示されます。もう一度押すと着信を受けます。',
    incoming: (price) => (price ? `ユーザーは1分あたり${price}ポイントを支払います。` : 'この通話は無料です。'),
    joining: 'サーバーが最初の音声パケットを受信した瞬間から計測します。',
    talking: '同じ部屋では、ヘッドホンを使うか片方をミュートしてください。',
    draining: (time) => `サーバーが停止準備中です。通話は${time}に終了します。`,
    ended: (seconds, points) => `通話時間 ${clock(seconds)}、課金 ${points}ポイント。`,
    unconnected: '音声がサーバーに届かなかったため、課金はありません。',
  },
  ending: (reason, time, needed, role) =>
    reason === 'max_duration'
      ? `${time}に最長通話時間に達し、通話が終了します。`
      : `${time}にポイントがなくなり、通話が終了します。${needed ? `あと${needed}ポイントあれば続けられます。` : role === 'otomo' ? 'ユーザーがポイントを追加すれば続きます。' : ''}`,
  fault: {
    unreached: ({ places, loopback }) =>
      `ブラウザーがサーバーのメディア（${places.join('、')}）に接続できません。${
        loopback
          ? 'Firefox はループバックアドレスを使いません。別のアドレスでも待ち受けてください（RTC_LISTEN_IP）。'
          : '途中のファイアウォールか、RTC_ANNOUNCED_ADDRESS の誤りが考えられます。'
      }`,
    toneless: () => 'ブラウザーの音声エンジンが起動しないため、テスト音を送れません。サウンドデバイスはありますか。',
    unsent: () => 'マイクから送る音声がありません。別のアプリが使用していませんか。',
    absent: () => '相手はまだ音声を送っていません。',
    unheard: () => '相手の音声が届いていません。',
  },
  microphoneFailed: {
    denied: 'マイクの使用が拒否されました。アドレスバーから許可して、もう一度お試しください。',
    missing: 'マイクが見つかりません。接続して、もう一度お試しください。',
    busy: '別のアプリがマイクを使用しています。終了して、もう一度お試しください。',
    insecure: 'マイクは https または localhost でのみ使えます。',
  },
  reason: {
    manual: '通話を終えました。',
    rejected: 'おともはんが拒否しました。',
    cancelled: 'ユーザーが発信を取り消しました。',
    timeout: '時間内に応答または音声がありませんでした。',
    low_balance: 'ポイントがなくなりました。',
    max_duration: '最長通話時間に達しました。',
    silence: '長い間どちらも話しませんでした。',
    rtp_stopped: '片方の音声が途絶えました。',
    disconnect: '片方のウィンドウが閉じられました。',
    network_failed: '片方のネットワークが切れました。',
    admin: '管理者が終了しました。',
    banned: '管理者が利用を停止しました。',
    worker_died: 'メディアサーバーに障害がありました。',
    node_lost: 'サーバーに障害がありました。',
    system_error: 'サーバーが停止しました。',
  },
  stepsTitle: '1分でわかる流れ',
  stepOpen: '両方のウィンドウを開く',
  stepOpenMore: 'ボタンひとつで、このページの相手側が開きます。',
  stepCall: '発信して、応答する',
  stepCallMore: '呼び出しは WebSocket、音声は WebRTC でサーバーへ送られます。',
  stepTalk: '話して、ポイントを見る',
  stepTalkMore: (price, seconds) =>
    `両者の音声が届いている間、${seconds}秒ごとに${price}ポイント。ミュートや無音も通話ですが、途絶えた側は数えません。`,
  stepEnd: '終える、または閉じる',
  stepEndMore: 'ウィンドウを閉じても、サーバーが音声の途絶に気づいて通話を終えます。',
  othersTitle: 'いま応じられるおともはん',
  othersMore: 'このサーバーのおともはん全員です。どのユーザーにもこう見えます。',
  statusOf: { online: '待機中', away: '離席中', busy: '通話中' },
  logTitle: 'サーバーからのイベント',
  logMore: 'WebSocket で届いたままの内容です。',
  lost: 'サーバーとの接続が切れました。通話は続いています。再接続中…',
  replaced: '同じ側のウィンドウが多すぎます。いくつか閉じて、再読み込みしてください。',
  errors: {
    FLOOD: '送信量が多すぎるため、マイクが停止されました。',
    NETWORK: 'サーバーが応答しません。',
    OFF: 'このサーバーではデモが無効になっています。',
  },
  another: (code) => `サーバーに拒否されました: ${code}`,
};

const languages = { en, ja };

export let language =
  (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2)).find((tag) => tag in languages) ?? 'en';
export let texts = languages[language];

export function speak(chosen) {
  language = chosen;
  texts = languages[chosen];
}

// What to tell of a refusal. The server's own sentences are Japanese, and made to be shown.
export function refusal({ code, message }) {
  return texts.errors[code] ?? (language === 'ja' && message ? message : texts.another(code));
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
