"""The server's wheel, of which all else stands in pyproject.toml: what ``wheels/native_wheel.py`` has every wheel hold,
and the browser pages, which an editable install has by ``make setup``."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).parent / "wheels"))

from native_wheel import BuildCarried, arguments


class BuildCarriedWithPages(BuildCarried):
    def carry(self):
        self.make("app.web.build", "app/web/built", Path("clients/js").resolve())
        super().carry()


setup(**arguments(BuildCarriedWithPages))
