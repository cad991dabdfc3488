// What our extensions need of CPython: owning references, buffers, and errors that name the place in a message.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <utility>

namespace codec {

// Thrown while Python's error indicator is set; caught where Python called us.
struct PyError {};

// An owned reference. Taking NULL throws, since NULL means that Python has raised.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject *owned) : p(owned) {
    if (!p) throw PyError{};
  }
  Ref(Ref &&other) noexcept : p(std::exchange(other.p, nullptr)) {}
  Ref &operator=(Ref &&other) noexcept {
    std::swap(p, other.p);
    return *this;
  }
  ~Ref() { Py_XDECREF(p); }

  static Ref share(PyObject *borrowed) {
    Py_INCREF(borrowed);
    return Ref(borrowed);
  }
  PyObject *release() { return std::exchange(p, nullptr); }

  PyObject *p = nullptr;
};

inline Ref intern(const std::string &text) { return Ref(PyUnicode_InternFromString(text.c_str())); }

inline void set_item(PyObject *dict, const Ref &key, const Ref &value) {
  if (PyDict_SetItem(dict, key.p, value.p) < 0) throw PyError{};
}

inline const char *type_name(PyObject *o) { return Py_TYPE(o)->tp_name; }

// A place in a message: a linked list on the C stack that costs nothing until something fails.
struct Path {
  const Path *up = nullptr;
  PyObject *key = nullptr;  // a field's name, or NULL for an element of a vector
  size_t index = 0;

  std::string text() const {
    if (!up) return "";
    const std::string head = up->text();
    if (!key) return head + "[" + std::to_string(index) + "]";
    const char *name = PyUnicode_AsUTF8(key);
    return head + (head.empty() ? "" : ".") + (name ? name : "?");
  }
};

// Raises ValueError("<path>: <what>"). Replaces an error that is already set: that one was only the symptom.
template <class... Args>
[[noreturn]] void fail(const Path &at, const char *format, Args... args) {
  const std::string path = at.text();
  PyErr_Clear();
  PyObject *what = PyUnicode_FromFormat(format, args...);  // NULL where a repr() fails: a huge int, a hostile class
  PyErr_Clear();
  PyErr_Format(PyExc_ValueError, "%s%s%V", path.c_str(), path.empty() ? "" : ": ", what, "invalid value");
  Py_XDECREF(what);
  throw PyError{};
}

// A bytes-like object, held for as long as this lives: its owner can neither free nor resize it.
class View {
 public:
  View(PyObject *o, const Path &at) {
    if (PyObject_GetBuffer(o, &buffer_, PyBUF_SIMPLE) < 0) fail(at, "expected contiguous bytes, got %s", type_name(o));
  }
  View(const View &) = delete;
  ~View() { PyBuffer_Release(&buffer_); }

  const uint8_t *bytes() const { return static_cast<const uint8_t *>(buffer_.buf); }
  size_t size() const { return static_cast<size_t>(buffer_.len); }

 private:
  Py_buffer buffer_;
};

// C++ exceptions stop here.
template <class F>
PyObject *guarded(F body) {
  try {
    return body();
  } catch (const PyError &) {
  } catch (const std::bad_alloc &) {
    PyErr_NoMemory();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

}  // namespace codec
