"""``voiceplane doctor``: is this machine, with these settings, fit to be a node? Looks only, and disturbs no node."""

from voiceplane.doctor.examination import examine
from voiceplane.doctor.finding import Finding, failed

__all__ = ["Finding", "examine", "failed"]
