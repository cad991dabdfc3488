// A dataclass into a JSON-able dict, as marshmallow dumps it by the same schema. The kinds of plans:
//
//   ("object", ((name, attribute, plan or None, keeps_null), ...))
//   ("list", plan or None)   ("call", write)
//
// None stands for what is written as it is. A None inside is left out, unless the field keeps it as a null.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "plan.hpp"

namespace schemas::writer {

struct Node {
  virtual ~Node() = default;
  virtual Ref write(PyObject *value) const = 0;
};

using Owned = std::unique_ptr<const Node>;  // or nothing, for what is written as it is

Owned compile(PyObject *plan);

inline Ref written(const Owned &node, PyObject *value) { return node ? node->write(value) : Ref::share(value); }

struct Call : Node {
  Ref write_one;

  Ref write(PyObject *value) const override { return Ref(PyObject_CallOneArg(write_one.p, value)); }
};

struct List : Node {
  Owned item;

  Ref write(PyObject *value) const override {
    Ref list(PySequence_List(value));
    if (!item) return list;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.p); i++) {
      Ref one = item->write(PyList_GET_ITEM(list.p, i));
      PyList_SetItem(list.p, i, one.release());  // which lets go of the former
    }
    return list;
  }
};

struct Field {
  Ref name, attribute;
  Owned node;
  bool keeps_null;
};

struct Object : Node {
  std::vector<Field> fields;

  Ref write(PyObject *value) const override {
    Ref dict(PyDict_New());
    for (const Field &field : fields) {
      const Ref inner(PyObject_GetAttr(value, field.attribute.p));
      if (inner.p != Py_None) codec::set_item(dict.p, field.name, written(field.node, inner.p));
      else if (field.keeps_null) codec::set_item(dict.p, field.name, inner);
    }
    return dict;
  }
};

inline Owned compile_object(PyObject *plan) {
  auto node = std::make_unique<Object>();
  const char *kind;
  PyObject *fields;
  unpack(plan, "sO!", &kind, &PyTuple_Type, &fields);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
    const char *name, *attribute;
    PyObject *inner;
    int keeps_null;
    unpack(PyTuple_GET_ITEM(fields, i), "ssOp", &name, &attribute, &inner, &keeps_null);
    node->fields.push_back({codec::intern(name), codec::intern(attribute), compile(inner), keeps_null != 0});
  }
  return node;
}

inline Owned compile(PyObject *plan) {
  if (plan == Py_None) return nullptr;
  const std::string_view name(kind_of(plan));
  if (name == "object") return compile_object(plan);
  const char *kind;
  PyObject *inner;
  unpack(plan, "sO", &kind, &inner);
  if (name == "list") {
    auto node = std::make_unique<List>();
    node->item = compile(inner);
    return node;
  }
  if (name != "call") wrong_plan("it is of an unknown kind");
  auto node = std::make_unique<Call>();
  node->write_one = Ref::share(inner);
  return node;
}

}  // namespace schemas::writer
