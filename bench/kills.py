"""How many kills the node survives, as JSON: SIGKILL at random moments of calls in every stage, and what the next start
made of each.

Runs on a new SQLite file in a temporary folder, or on the empty database whose URL is given. Five seconds a kill; ends
with 1 where anything was lost, doubled or told wrongly. Run as ``python -m bench.kills [--kills 50] [--seed 1] [URL]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from app.settings import Settings
from bench.flips import settings_of
from tests.crash.rounds import PATIENT_S, UNIT_S, Crowd, Survived


def busy(settings: Settings) -> Settings:
    """Units so short that there is something to charge, and nobody who is asked to slow down."""
    return replace(settings, unit_seconds=UNIT_S, rate_limit=0, reconnect_window_s=PATIENT_S)


def report(survived: list[Survived]) -> dict[str, object]:
    return {
        "kills": len(survived),
        "killedStarts": sum(one.start_killed for one in survived),
        "openCalls": sum(one.open_calls for one in survived),
        "callsThatWentOn": sum(one.went_on for one in survived),
        "unitsBefore": survived[-1].units,
        "unitsAfter": survived[-1].units_after,
        "workersGoneMsMax": round(max(one.workers_gone_s for one in survived) * 1000, 1),
        "readyAfterSMax": round(max(one.ready_s for one in survived), 2),
        "discrepancies": [sentence for one in survived for sentence in one.wrong],
    }


async def survive(settings: Settings, kills: int, seed: int) -> list[Survived]:
    survived = []
    async for one in Crowd(settings, random.Random(seed)).survive(kills):
        survived.append(one)
        sys.stderr.write(f"{len(survived)} of {kills} kills, {one.units_after} units\n")
    return survived


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", nargs="?", default="", help="an empty database, instead of a new SQLite file")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voiceplane-kills-") as folder:
        survived = asyncio.run(survive(busy(settings_of(Path(folder), args.url)), args.kills, args.seed))
    found = report(survived)
    print(json.dumps(found))
    return int(bool(found["discrepancies"]))


if __name__ == "__main__":
    sys.exit(main())
