"""A client of a voiceplane server for Python programs: calls, their sound, and their events. Knows no server code.

```python
async with Voiceplane("https://voice.example.com", token=give_token) as vp:
    call = await vp.call("otomo_1", audio=MediaPlayer("hello.wav").audio)
    call.on("tick", lambda tick: print(tick.total_charged_points))
    async for event in call.events():
        print(event)
```

The sound needs pymediasoup: `pip install 'voiceplane[call]'`. It follows the call into another room when its worker
dies or its node is drained, and the WebSocket reconnects by itself. Every failure is a `ClientError` with a `code`.
"""

from voiceplane.client.api import Api
from voiceplane.client.call import Call
from voiceplane.client.client import Voiceplane
from voiceplane.client.errors import (
    BadAnswer,
    CallEnded,
    ClientError,
    NoMedia,
    NotSupported,
    Refused,
    SocketClosed,
    TokenFailed,
    Unreachable,
)
from voiceplane.client.events import (
    Accepted,
    CallEvent,
    CallRecord,
    Connected,
    ConnectionChanged,
    Ended,
    Ending,
    Interrupted,
    Moved,
    QualityChanged,
    RemoteMuted,
    Resumed,
    Silent,
    SilentMicrophone,
    StateChanged,
    Tick,
    WalletUpdate,
)
from voiceplane.client.preflight import Preflight
from voiceplane.client.stats import CallStats

__all__ = [
    "Accepted",
    "Api",
    "BadAnswer",
    "Call",
    "CallEnded",
    "CallEvent",
    "CallRecord",
    "CallStats",
    "ClientError",
    "Connected",
    "ConnectionChanged",
    "Ended",
    "Ending",
    "Interrupted",
    "Moved",
    "NoMedia",
    "NotSupported",
    "Preflight",
    "QualityChanged",
    "Refused",
    "RemoteMuted",
    "Resumed",
    "Silent",
    "SilentMicrophone",
    "SocketClosed",
    "StateChanged",
    "Tick",
    "TokenFailed",
    "Unreachable",
    "Voiceplane",
    "WalletUpdate",
]
