"""Programs that are not ours, and what they say of an Ogg Opus file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

WITHIN_S = 30.0


def length_of(path: Path) -> float:
    """In seconds, by ffprobe, which counts the 6.5 ms that are not heard."""
    asked = ["ffprobe", "-v", "error", "-show_entries", "format=duration:stream=codec_name,channels,start_pts"]
    told = subprocess.run([*asked, "-of", "flat", str(path)], capture_output=True, check=True, timeout=WITHIN_S)
    values = dict(line.split("=") for line in told.stdout.decode().split())
    assert values["streams.stream.0.codec_name"] == '"opus"'
    assert values["streams.stream.0.channels"] == "1"
    return float(values["format.duration"].strip('"'))


def faults_in(path: Path) -> list[str]:
    """What opusinfo warns of, and what ffmpeg can't decode."""
    info = subprocess.run(["opusinfo", str(path)], capture_output=True, check=False, timeout=WITHIN_S)
    said = (info.stdout + info.stderr).decode()
    faults = [line for line in said.splitlines() if "WARNING" in line or "ERROR" in line or "ailed" in line]
    if "Logical stream 1 ended" not in said and not faults:
        faults.append(f"opusinfo said no end: {said}")
    decoded = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", str(path), "-f", "null", "-"], capture_output=True, check=False, timeout=60
    )
    return faults + decoded.stderr.decode().splitlines()


def heard_in(path: Path) -> float:
    """How many seconds are heard, by opusinfo."""
    told = subprocess.run(["opusinfo", str(path)], capture_output=True, check=True, timeout=WITHIN_S)
    [found] = re.findall(r"Playback length: (\d+)m:([\d.]+)s", told.stdout.decode())
    return 60 * int(found[0]) + float(found[1])
