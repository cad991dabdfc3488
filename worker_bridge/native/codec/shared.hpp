// A list that many messages carry and nobody changes: written by the schema once, and copied from then on.
//
// Offsets in a FlatBuffer are relative, so what was written apart is right wherever it is copied to, as long as it ends
// at a multiple of the widest scalar.
#pragma once

#include "plan.hpp"

namespace codec {

constexpr size_t kAlign = sizeof(uint64_t);

struct Written {
  uint64_t plan = 0;  // its serial; 0 for not written yet
  const Type *type = nullptr;
  fb::uoffset_t start = 0;  // of the vector, counted from the end
  std::string bytes;
};

struct Shared {  // not for the garbage collector, since a value of messages is no part of a loop
  PyObject_HEAD
  PyObject *value;
  Written *written;
};

inline PyObject *shared_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *names[] = {"value", nullptr};
  PyObject *value;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Shared", const_cast<char **>(names), &value)) return nullptr;
  return guarded([&] {
    auto written = std::make_unique<Written>();
    Ref self(type->tp_alloc(type, 0));
    auto &shared = *reinterpret_cast<Shared *>(self.p);
    Py_INCREF(value);
    shared.value = value;
    shared.written = written.release();
    return self.release();
  });
}

inline void shared_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  auto &shared = *reinterpret_cast<Shared *>(self);
  Py_XDECREF(shared.value);
  delete shared.written;
  type->tp_free(self);
  Py_DECREF(type);
}

inline PyType_Slot shared_slots[] = {
    {Py_tp_new, reinterpret_cast<void *>(shared_new)},
    {Py_tp_dealloc, reinterpret_cast<void *>(shared_dealloc)},
    {},
};

inline PyType_Spec shared_spec = {"worker_bridge._codec.Shared", sizeof(Shared), 0, Py_TPFLAGS_DEFAULT, shared_slots};

inline bool is_shared(PyObject *o) { return Py_TYPE(o)->tp_dealloc == shared_dealloc; }

}  // namespace codec
