// A JSON value into dataclasses.
//
// It accepts what marshmallow accepts by the same schema, and returns the same; what it refuses it refuses without a
// reason: marshmallow is asked for that. The kinds of plans:
//
//   ("object", closed, build, slots, frozen, ((name, plan, has_default, default, is_factory, null), ...))
//   ("list", at_least, at_most, plan)
//   ("text", at_least, at_most, rule)         rule: "printable", "call_id", "uuid"
//   ("name", at_least, at_most, accept)       visible ASCII; whatever else is accept's to judge
//   ("whole", at_least, at_most)   ("choice", words)   ("flag",)   ("call", accept)   ("remembered", read)
//
// "slots" are the member descriptors of a dataclass whose fields can be stored as they are, and then "build" is that
// class; else it is None, and "build" is called with the values in order. "frozen" says whether that class is. "null" says what a null is: "refused", "absent"
// or "none".
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "plan.hpp"

#include <structmember.h>

namespace schemas::reader {

// Thrown where a value is refused; no Python error is set yet.
struct Refused {};

struct Node {
  virtual ~Node() = default;
  virtual Ref read(PyObject *value) const = 0;

  // Whether what it makes can be part of a cycle, and so has to be seen by the collector as long as it is tracked.
  virtual bool can_close_a_cycle(PyObject *made) const { return PyObject_IS_GC(made) && PyObject_GC_IsTracked(made); }
};

using Owned = std::unique_ptr<const Node>;

Owned compile(PyObject *plan);

inline void check_length(Py_ssize_t length, Py_ssize_t at_least, Py_ssize_t at_most) {
  if (length < at_least || length > at_most) throw Refused{};
}

// Text

inline bool is_hex(Py_UCS4 c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

inline bool is_word(Py_UCS4 c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What schemas.problem calls UNPRINTABLE: tab and line feed may stand in a text.
inline bool is_unprintable(Py_UCS4 c) {
  return (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c <= 0x9f) || (c >= 0xd800 && c <= 0xdfff);
}

struct Text : Node {
  enum class Rule { printable, call_id, uuid, visible };

  Py_ssize_t at_least, at_most;
  Rule rule;
  Ref accept;  // of "visible", for what is not ASCII

  Ref read(PyObject *value) const override {
    if (!PyUnicode_CheckExact(value)) throw Refused{};
    const Py_ssize_t length = PyUnicode_GET_LENGTH(value);
    check_length(length, at_least, at_most);
    if (rule == Rule::visible && !PyUnicode_IS_ASCII(value)) return Ref(PyObject_CallOneArg(accept.p, value));
    const int kind = PyUnicode_KIND(value);
    const void *data = PyUnicode_DATA(value);
    for (Py_ssize_t i = 0; i < length; i++) {
      if (!fits(PyUnicode_READ(kind, data, i), i)) throw Refused{};
    }
    return Ref::share(value);
  }

  bool fits(Py_UCS4 c, Py_ssize_t at) const {
    switch (rule) {
      case Rule::printable: return !is_unprintable(c);
      case Rule::call_id: return is_word(c) || c == '_' || c == '-';
      case Rule::uuid: return at == 8 || at == 13 || at == 18 || at == 23 ? c == '-' : is_hex(c);
      case Rule::visible: return c > 0x20 && c < 0x7f;
    }
    return false;
  }
};

// The other single values

struct Whole : Node {
  long long at_least, at_most;

  Ref read(PyObject *value) const override {
    int overflow = 0;
    if (!PyLong_CheckExact(value)) throw Refused{};
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || number < at_least || number > at_most) throw Refused{};
    return Ref::share(value);
  }
};

struct Choice : Node {
  Ref words;

  Ref read(PyObject *value) const override {
    if (!PyUnicode_CheckExact(value)) throw Refused{};
    const int found = PySequence_Contains(words.p, value);
    if (found < 0) throw PyError{};
    if (!found) throw Refused{};
    return Ref::share(value);
  }
};

struct Flag : Node {
  Ref read(PyObject *value) const override {
    if (!PyBool_Check(value)) throw Refused{};
    return Ref::share(value);
  }
};

struct Call : Node {
  Ref accept;

  Ref read(PyObject *value) const override { return Ref(PyObject_CallOneArg(accept.p, value)); }
};

// What is remembered is shared, and so it must not change: nothing in it can come to lead to who shares it.
struct Remembered : Call {
  bool can_close_a_cycle(PyObject *) const override { return false; }
};

// Lists and objects

struct List : Node {
  Py_ssize_t at_least, at_most;
  Owned item;

  Ref read(PyObject *value) const override {
    if (!PyList_CheckExact(value)) throw Refused{};
    const Py_ssize_t length = PyList_GET_SIZE(value);
    check_length(length, at_least, at_most);
    Ref tuple(PyTuple_New(length));
    bool seen = false;
    for (Py_ssize_t i = 0; i < length; i++) {
      if (PyList_GET_SIZE(value) != length) throw Refused{};  // a callable of the plan has changed it
      const Ref raw = Ref::share(PyList_GET_ITEM(value, i));
      PyObject *made = item->read(raw.p).release();
      PyTuple_SET_ITEM(tuple.p, i, made);
      seen = seen || item->can_close_a_cycle(made);
    }
    if (length && !seen) PyObject_GC_UnTrack(tuple.p);  // the empty one is everybody's
    return tuple;
  }
};

struct Field {
  enum class Null { refused, absent, none };

  Ref name;
  Owned node;
  bool has_default, is_factory;
  Ref value;  // by default
  Null null;
  Py_ssize_t offset;  // of its slot, where the object has slots

  Ref read(PyObject *object) const {
    PyObject *given = PyDict_GetItemWithError(object, name.p);
    if (!given && PyErr_Occurred()) throw PyError{};
    if (given == Py_None && null != Null::refused) {
      if (null == Null::none) return Ref::share(Py_None);
      given = nullptr;
    }
    if (given) {
      const Ref held = Ref::share(given);
      return node->read(held.p);
    }
    if (!has_default) throw Refused{};
    return is_factory ? Ref(PyObject_CallNoArgs(value.p)) : Ref::share(value.p);
  }
};

struct Object : Node {
  bool closed, has_slots, frozen;
  Ref build;
  std::vector<Field> fields;

  Ref read(PyObject *value) const override {
    if (!PyDict_CheckExact(value)) throw Refused{};
    if (closed) refuse_unknown(value);
    return has_slots ? stored(value) : called(value);
  }

 private:
  void refuse_unknown(PyObject *value) const {
    Py_ssize_t known = 0;
    for (const Field &field : fields) {
      const int there = PyDict_Contains(value, field.name.p);
      if (there < 0) throw PyError{};
      known += there;
    }
    if (PyDict_GET_SIZE(value) != known) throw Refused{};
  }

  // As the dataclass's own __init__ does, which is generated from the same fields. A frozen object of values that the
  // collector need not see can be in no cycle, and need not be seen either; Python does the same with its tuples.
  Ref stored(PyObject *value) const {
    PyTypeObject *type = reinterpret_cast<PyTypeObject *>(build.p);
    Ref made(type->tp_alloc(type, 0));
    bool seen = !frozen;
    for (const Field &field : fields) {
      PyObject *inner = field.read(value).release();
      *reinterpret_cast<PyObject **>(reinterpret_cast<char *>(made.p) + field.offset) = inner;
      seen = seen || field.node->can_close_a_cycle(inner);
    }
    if (!seen) PyObject_GC_UnTrack(made.p);
    return made;
  }

  Ref called(PyObject *value) const {
    Ref values(PyTuple_New(static_cast<Py_ssize_t>(fields.size())));
    for (size_t i = 0; i < fields.size(); i++) {
      PyTuple_SET_ITEM(values.p, static_cast<Py_ssize_t>(i), fields[i].read(value).release());
    }
    return Ref(PyObject_CallObject(build.p, values.p));
  }
};

// Plans

inline Owned compile_text(PyObject *plan) {
  auto node = std::make_unique<Text>();
  const char *kind, *rule;
  unpack(plan, "snns", &kind, &node->at_least, &node->at_most, &rule);
  const std::string_view name(rule);
  if (name == "printable") node->rule = Text::Rule::printable;
  else if (name == "call_id") node->rule = Text::Rule::call_id;
  else if (name == "uuid") node->rule = Text::Rule::uuid;
  else wrong_plan("its text has an unknown rule");
  return node;
}

inline Owned compile_name(PyObject *plan) {
  auto node = std::make_unique<Text>();
  const char *kind;
  PyObject *accept;
  unpack(plan, "snnO", &kind, &node->at_least, &node->at_most, &accept);
  node->rule = Text::Rule::visible;
  node->accept = Ref::share(accept);
  return node;
}

inline Owned compile_list(PyObject *plan) {
  auto node = std::make_unique<List>();
  const char *kind;
  PyObject *item;
  unpack(plan, "snnO", &kind, &node->at_least, &node->at_most, &item);
  node->item = compile(item);
  return node;
}

inline Field compile_field(PyObject *plan) {
  Field field{};
  PyObject *name, *inner, *value;
  int has_default, is_factory;
  const char *null;
  unpack(plan, "UOpOps", &name, &inner, &has_default, &value, &is_factory, &null);
  field.name = Ref::share(name);
  field.node = compile(inner);
  field.has_default = has_default;
  field.is_factory = is_factory;
  field.value = Ref::share(value);
  const std::string_view said(null);
  field.null = said == "absent" ? Field::Null::absent : said == "none" ? Field::Null::none : Field::Null::refused;
  return field;
}

// The slot's place in an instance of "type". A descriptor that is not the type's own would be a write anywhere.
inline Py_ssize_t offset_of(PyObject *slot, PyTypeObject *type) {
  if (!PyObject_TypeCheck(slot, &PyMemberDescr_Type)) wrong_plan("a slot is no member descriptor");
  const auto *descriptor = reinterpret_cast<PyMemberDescrObject *>(slot);
  if (descriptor->d_common.d_type != type || descriptor->d_member->type != T_OBJECT_EX)
    wrong_plan("a slot is another type's, or holds no object");
  return descriptor->d_member->offset;
}

inline Owned compile_object(PyObject *plan) {
  auto node = std::make_unique<Object>();
  const char *kind;
  int closed, frozen;
  PyObject *build, *slots, *fields;
  unpack(plan, "spOOpO!", &kind, &closed, &build, &slots, &frozen, &PyTuple_Type, &fields);
  node->closed = closed;
  node->frozen = frozen;
  node->has_slots = slots != Py_None;
  node->build = Ref::share(build);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
    node->fields.push_back(compile_field(PyTuple_GET_ITEM(fields, i)));
  }
  if (!node->has_slots) return node;
  if (!PyTuple_Check(slots) || PyTuple_GET_SIZE(slots) != PyTuple_GET_SIZE(fields) || !PyType_Check(build))
    wrong_plan("an object needs a type and a slot for each field");
  for (size_t i = 0; i < node->fields.size(); i++) {
    PyObject *slot = PyTuple_GET_ITEM(slots, static_cast<Py_ssize_t>(i));
    node->fields[i].offset = offset_of(slot, reinterpret_cast<PyTypeObject *>(build));
  }
  return node;
}

inline Owned compile_whole(PyObject *plan) {
  auto node = std::make_unique<Whole>();
  const char *kind;
  unpack(plan, "sLL", &kind, &node->at_least, &node->at_most);
  return node;
}

inline Owned compile_choice(PyObject *plan) {
  auto node = std::make_unique<Choice>();
  const char *kind;
  PyObject *words;
  unpack(plan, "sO!", &kind, &PyTuple_Type, &words);
  node->words = Ref::share(words);
  return node;
}

template <class Kind>
Owned compile_call(PyObject *plan) {
  auto node = std::make_unique<Kind>();
  const char *kind;
  PyObject *accept;
  unpack(plan, "sO", &kind, &accept);
  node->accept = Ref::share(accept);
  return node;
}

inline Owned compile(PyObject *plan) {
  const std::string_view name(kind_of(plan));
  if (name == "object") return compile_object(plan);
  if (name == "list") return compile_list(plan);
  if (name == "text") return compile_text(plan);
  if (name == "name") return compile_name(plan);
  if (name == "whole") return compile_whole(plan);
  if (name == "choice") return compile_choice(plan);
  if (name == "flag") return std::make_unique<Flag>();
  if (name == "call") return compile_call<Call>(plan);
  if (name == "remembered") return compile_call<Remembered>(plan);
  wrong_plan("it is of an unknown kind");
}

}  // namespace schemas::reader
