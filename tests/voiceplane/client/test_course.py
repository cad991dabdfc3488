"""What events tell of a call and what the server answers cross on the way, and the older of them does not count."""

from __future__ import annotations

from voiceplane.client.course import Course


def test_an_answer_that_was_asked_for_before_an_event_does_not_undo_what_the_event_has_told():
    course = Course("interrupted")
    answered = course.ask()
    course.state = course.told("resumed")
    assert answered("interrupted") == "talking"
    assert course.ask()("interrupted") == "interrupted"  # asked since, it is news

    late = course.ask()
    course.state = course.told("interrupted")
    assert late("talking") == "interrupted"
    assert late("ended") == "ended"  # which is further, whenever it was asked for


def test_an_answer_stands_for_an_event_that_is_missing_and_the_event_that_comes_late_changes_nothing():
    course = Course("talking")
    course.state = course.ask()("interrupted")
    assert course.state == "interrupted"
    course.state = course.ask()("talking")
    assert course.told("resumed") == "talking"
