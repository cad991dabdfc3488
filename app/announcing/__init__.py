"""What the node lets parties hear: announcements, music while a call is on hold."""
