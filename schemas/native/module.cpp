// schemas._native: request bodies into dataclasses, and dataclasses into answers, by plans that the schemas make.
//
//   read = Reader(plan, ValidationError)
//   thing = read({"callId": "c1"})
//   write = Writer(plan)
//   body = write(thing)
//
// A Reader and a Writer are immutable, and live as long as their schema.

#include "reader.hpp"
#include "writer.hpp"

namespace schemas {
namespace {

using codec::guarded;

// The one value that an instance is called with.
PyObject *only_argument(PyObject *args, PyObject *kwargs) {
  if (kwargs && PyDict_GET_SIZE(kwargs)) {
    PyErr_SetString(PyExc_TypeError, "takes one value and no names");
    throw PyError{};
  }
  PyObject *value;
  if (!PyArg_ParseTuple(args, "O", &value)) throw PyError{};
  return value;
}

struct Reader {
  PyObject_HEAD
  const reader::Node *root;
  PyObject *refusal;
};

PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *) {
  PyObject *plan, *refusal;
  if (!PyArg_ParseTuple(args, "OO:Reader", &plan, &refusal)) return nullptr;
  return guarded([&] {
    reader::Owned root = reader::compile(plan);
    Ref self(type->tp_alloc(type, 0));
    reinterpret_cast<Reader *>(self.p)->root = root.release();
    reinterpret_cast<Reader *>(self.p)->refusal = Ref::share(refusal).release();
    return self.release();
  });
}

void reader_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  delete reinterpret_cast<Reader *>(self)->root;
  Py_XDECREF(reinterpret_cast<Reader *>(self)->refusal);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject *reader_call(PyObject *self, PyObject *args, PyObject *kwargs) {
  return guarded([&]() -> PyObject * {
    PyObject *value = only_argument(args, kwargs);
    try {
      return reinterpret_cast<Reader *>(self)->root->read(value).release();
    } catch (const reader::Refused &) {
      PyErr_SetString(reinterpret_cast<Reader *>(self)->refusal, "");
      throw PyError{};
    }
  });
}

struct Writer {
  PyObject_HEAD
  const writer::Node *root;
};

PyObject *writer_new(PyTypeObject *type, PyObject *args, PyObject *) {
  PyObject *plan;
  if (!PyArg_ParseTuple(args, "O:Writer", &plan)) return nullptr;
  return guarded([&] {
    writer::Owned root = writer::compile(plan);
    if (!root) wrong_plan("it is none");
    Ref self(type->tp_alloc(type, 0));
    reinterpret_cast<Writer *>(self.p)->root = root.release();
    return self.release();
  });
}

void writer_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  delete reinterpret_cast<Writer *>(self)->root;
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject *writer_call(PyObject *self, PyObject *args, PyObject *kwargs) {
  return guarded([&] {
    return reinterpret_cast<Writer *>(self)->root->write(only_argument(args, kwargs)).release();
  });
}

PyType_Slot reader_slots[] = {
    {Py_tp_new, reinterpret_cast<void *>(reader_new)},
    {Py_tp_dealloc, reinterpret_cast<void *>(reader_dealloc)},
    {Py_tp_call, reinterpret_cast<void *>(reader_call)},
    {},
};

PyType_Slot writer_slots[] = {
    {Py_tp_new, reinterpret_cast<void *>(writer_new)},
    {Py_tp_dealloc, reinterpret_cast<void *>(writer_dealloc)},
    {Py_tp_call, reinterpret_cast<void *>(writer_call)},
    {},
};

PyType_Spec reader_spec = {"schemas._native.Reader", sizeof(Reader), 0, Py_TPFLAGS_DEFAULT, reader_slots};
PyType_Spec writer_spec = {"schemas._native.Writer", sizeof(Writer), 0, Py_TPFLAGS_DEFAULT, writer_slots};

int add_type(PyObject *module, const char *name, PyType_Spec *spec) {
  PyObject *type = PyType_FromSpec(spec);
  const int result = type ? PyModule_AddObjectRef(module, name, type) : -1;
  Py_XDECREF(type);
  return result;
}

int module_exec(PyObject *module) {
  const int added = add_type(module, "Reader", &reader_spec);
  return added < 0 ? added : add_type(module, "Writer", &writer_spec);
}

PyModuleDef_Slot module_slots[] = {{Py_mod_exec, reinterpret_cast<void *>(module_exec)}, {}};

PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_native", nullptr, 0, nullptr, module_slots, nullptr, nullptr, nullptr,
};

}  // namespace
}  // namespace schemas

PyMODINIT_FUNC PyInit__native() { return PyModuleDef_Init(&schemas::module_def); }
