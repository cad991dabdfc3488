"""``python -m voiceplane`` is the command ``voiceplane``."""

from __future__ import annotations

import sys

from voiceplane.cli import main

if __name__ == "__main__":
    sys.exit(main())
