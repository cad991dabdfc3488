// worker_bridge._codec: FlatBuffers <-> dict for CPython, driven by a binary schema that is given at run time.
//
//   codec = Codec(bfbs, "FBS.Message.Message", 8388608)
//   frame = codec.encode({"data_type": "Request", "data": {...}})
//   message = codec.decode(frame)
//
// A Codec is immutable and keeps nothing between calls: it is reentrant, and safe to share between threads.

#include "decoder.hpp"
#include "encoder.hpp"

namespace codec {
namespace {

struct Codec {
  PyObject_HEAD
  const Plan *plan;
};

const Plan &plan_of(PyObject *self) { return *reinterpret_cast<Codec *>(self)->plan; }

PyObject *codec_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static const char *names[] = {"schema", "root", "max_size", nullptr};
  PyObject *bfbs;
  const char *root;
  Py_ssize_t max_size;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Osn:Codec", const_cast<char **>(names), &bfbs, &root, &max_size))
    return nullptr;
  return guarded([&] {
    auto plan = compile(bfbs, root, max_size);
    Ref self(type->tp_alloc(type, 0));
    reinterpret_cast<Codec *>(self.p)->plan = plan.release();
    return self.release();
  });
}

void codec_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  delete reinterpret_cast<Codec *>(self)->plan;
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject *codec_encode(PyObject *self, PyObject *message) {
  return guarded([&] { return Encoder(plan_of(self)).run(message); });
}

PyObject *codec_decode(PyObject *self, PyObject *frame) {
  return guarded([&] {
    const View view(frame, {});
    return Decoder(plan_of(self), view).run();
  });
}

PyObject *codec_values(PyObject *self, PyObject *name) {
  return guarded([&]() -> PyObject * {
    const char *wanted = PyUnicode_AsUTF8(name);
    if (!wanted) throw PyError{};
    for (const Enum &en : plan_of(self).enums) {
      if (en.name == wanted) return PyDict_Copy(en.values.p);
    }
    fail({}, "the schema has no enum or union %s", wanted);
  });
}

PyMethodDef codec_methods[] = {
    {"encode", codec_encode, METH_O, "encode(message: dict) -> bytes\n\nA size-prefixed frame."},
    {"decode", codec_decode, METH_O, "decode(frame: bytes-like) -> dict\n\nOf one size-prefixed frame."},
    {"values", codec_values, METH_O, "values(name: str) -> dict\n\nThe names of an enum or union with their numbers."},
    {},
};

PyType_Slot codec_slots[] = {
    {Py_tp_new, reinterpret_cast<void *>(codec_new)},
    {Py_tp_dealloc, reinterpret_cast<void *>(codec_dealloc)},
    {Py_tp_methods, codec_methods},
    {},
};

PyType_Spec codec_spec = {"worker_bridge._codec.Codec", sizeof(Codec), 0, Py_TPFLAGS_DEFAULT, codec_slots};

int add_type(PyObject *module, const char *name, PyType_Spec *spec) {
  PyObject *type = PyType_FromSpec(spec);
  const int result = type ? PyModule_AddObjectRef(module, name, type) : -1;
  Py_XDECREF(type);
  return result;
}

int module_exec(PyObject *module) { return add_type(module, "Codec", &codec_spec); }

PyModuleDef_Slot module_slots[] = {{Py_mod_exec, reinterpret_cast<void *>(module_exec)}, {}};

PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT, "_codec", nullptr, 0, nullptr, module_slots, nullptr, nullptr, nullptr,
};

}  // namespace
}  // namespace codec

PyMODINIT_FUNC PyInit__codec() { return PyModuleDef_Init(&codec::module_def); }
