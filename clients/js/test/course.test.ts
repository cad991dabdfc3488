import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Course } from '../src/course';

test('an answer that was asked for before an event does not undo what the event has told', () => {
  const course = new Course('interrupted');
  const answered = course.ask();
  course.state = course.told('resumed');
  assert.equal(answered('interrupted'), 'talking');
  assert.equal(course.ask()('interrupted'), 'interrupted'); // asked since, it is news

  const late = course.ask();
  course.state = course.told('interrupted');
  assert.equal(late('talking'), 'interrupted');
  assert.equal(late('ended'), 'ended'); // which is further, whenever it was asked for
});

test('an answer stands for an event that is missing, and the event that comes late changes nothing', () => {
  const course = new Course('talking');
  course.state = course.ask()('interrupted');
  assert.equal(course.state, 'interrupted');
  course.state = course.ask()('talking');
  assert.equal(course.told('resumed'), 'talking');
});
