// Plans are nested tuples that begin with the name of their kind; this is how they are taken apart.
#pragma once

#include "python.hpp"

namespace schemas {

using codec::PyError;
using codec::Ref;

[[noreturn]] inline void wrong_plan(const char *what) {
  PyErr_Format(PyExc_ValueError, "a plan is wrong: %s", what);
  throw PyError{};
}

template <class... Out>
void unpack(PyObject *tuple, const char *format, Out... out) {
  if (!PyTuple_Check(tuple)) wrong_plan("it is no tuple");
  if (!PyArg_ParseTuple(tuple, format, out...)) throw PyError{};
}

// The name of a plan's kind.
inline const char *kind_of(PyObject *plan) {
  if (!PyTuple_Check(plan) || PyTuple_GET_SIZE(plan) == 0) wrong_plan("it is no tuple, or empty");
  const char *kind = PyUnicode_AsUTF8(PyTuple_GET_ITEM(plan, 0));
  if (!kind) throw PyError{};
  return kind;
}

}  // namespace schemas
