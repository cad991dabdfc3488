"""``voiceplane doctor``: is this machine, with these settings, fit to be a node? Looks only, and disturbs no node."""

from app.doctor.examination import examine
from app.doctor.finding import Finding, failed

__all__ = ["Finding", "examine", "failed"]
