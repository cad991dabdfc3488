// A dict into a size-prefixed FlatBuffer, checked against the schema on the way.
//
// The worker verifies nothing, so what leaves here must be right: every key known, every required field there, every
// value of the schema's type and range. Values are Python's and may be hostile: looking up an odd key runs its
// __eq__, which may change the dict that is being walked. So whatever is held is owned, and lists are snapshots.
#pragma once

#include <cmath>

#include "plan.hpp"

namespace codec {

class Encoder {
 public:
  explicit Encoder(const Plan &plan) : plan_(plan) {}

  PyObject *run(PyObject *message) {
    fbb_.FinishSizePrefixed(fb::Offset<void>(table(*plan_.root, message, {})));
    room(0, {});
    return PyBytes_FromStringAndSize(reinterpret_cast<const char *>(fbb_.GetBufferPointer()), fbb_.GetSize());
  }

 private:
  // Refuses as soon as a message grows too large, however often it repeats one and the same object.
  void room(size_t more, const Path &at) {
    if (more > plan_.max_size || fbb_.GetSize() > plan_.max_size - more)
      fail(at, "message larger than %zu bytes", plan_.max_size);
  }

  uint64_t enumerator(const Enum &en, PyObject *v, const Path &at) {
    if (!PyUnicode_Check(v)) fail(at, "expected the name of a %s, got %s", en.name.c_str(), type_name(v));
    PyObject *number = PyDict_GetItemWithError(en.values.p, v);  // borrowed of the plan, which outlives us
    if (!number) fail(at, "%.60R is not a %s", v, en.name.c_str());
    return PyLong_AsUnsignedLongLong(number);
  }

  uint64_t integer(Base base, PyObject *v, const Path &at) {
    const Scalar &s = kScalars[base];
    int overflow;
    const int64_t n = PyLong_AsLongLongAndOverflow(v, &overflow);
    if (!overflow && n >= s.min && (n < 0 || static_cast<uint64_t>(n) <= s.max)) return int_bits(base, n);
    if (overflow > 0 && base == Base::ULong) {
      const uint64_t u = PyLong_AsUnsignedLongLong(v);
      if (!PyErr_Occurred()) return u;
    }
    fail(at, "%.60R does not fit %s", v, s.name);
  }

  uint64_t real(Base base, PyObject *v, const Path &at) {
    const double d = PyFloat_AsDouble(v);  // raises for an int beyond a double
    const bool overflow = base == Base::Float && std::isfinite(d) && !std::isfinite(static_cast<float>(d));
    if (overflow || PyErr_Occurred()) fail(at, "%.60R does not fit %s", v, kScalars[base].name);
    return real_bits(base, d);
  }

  uint64_t scalar(const Type &t, PyObject *v, const Path &at) {
    if (t.en) return enumerator(*t.en, v, at);
    const bool is_int = PyLong_Check(v) && !PyBool_Check(v);  // Python's bool is an int; the wire's is not
    if (t.base == Base::Bool ? PyBool_Check(v) : is_int || (is_real(t.base) && PyFloat_Check(v))) {
      if (t.base == Base::Bool) return v == Py_True;
      return is_real(t.base) ? real(t.base, v, at) : integer(t.base, v, at);
    }
    fail(at, "expected %s, got %s", kScalars[t.base].name, type_name(v));
  }

  fb::uoffset_t string(PyObject *v, const Path &at) {
    if (!PyUnicode_Check(v)) fail(at, "expected str, got %s", type_name(v));
    Py_ssize_t size;
    const char *s = PyUnicode_AsUTF8AndSize(v, &size);
    if (!s) fail(at, "not encodable as UTF-8");
    // Allowed by the schema, but it ends a C string: of the worker, of its libraries, of whoever reads its logs.
    if (memchr(s, 0, size)) fail(at, "contains a NUL");
    room(size, at);
    return fbb_.CreateString(s, size).o;
  }

  fb::uoffset_t bytes(PyObject *v, const Path &at) {
    if (!PyBytes_Check(v) && !PyByteArray_Check(v) && !PyMemoryView_Check(v))
      fail(at, "expected bytes, got %s", type_name(v));
    const View view(v, at);
    room(view.size(), at);
    return fbb_.CreateVector(view.bytes(), view.size()).o;
  }

  fb::uoffset_t vector(const Type &t, PyObject *v, const Path &at) {
    if (is_bytes(t)) return bytes(v, at);
    if (!PyList_Check(v) && !PyTuple_Check(v)) fail(at, "expected list, got %s", type_name(v));
    const Ref items(PySequence_Tuple(v));
    const size_t n = PyTuple_GET_SIZE(items.p);
    room(n * width(t.base), at);
    std::vector<uint64_t> out(n);
    for (size_t i = 0; i < n; i++) out[i] = value(t, PyTuple_GET_ITEM(items.p, i), {&at, nullptr, i});
    if (!is_scalar(t.base))
      return fbb_.CreateVector(std::vector<fb::Offset<void>>(out.begin(), out.end())).o;
    return sized(t.base, [&](auto e) { return fbb_.CreateVector(std::vector<decltype(e)>(out.begin(), out.end())).o; });
  }

  // The bits of a scalar, or the offset of a string or table.
  uint64_t value(const Type &t, PyObject *v, const Path &at) {
    if (t.base == Base::String) return string(v, at);
    return t.base == Base::Obj ? table(*t.table, v, at) : scalar(t, v, at);
  }

  // The fields of one table on their way from the dict to the buffer.
  struct Slots {
    uint64_t present = 0;  // one bit a field
    uint64_t bits[kMaxFields];
    uint8_t tags[kMaxFields];
    Py_ssize_t used = 0;  // keys of the dict that the schema knows
  };

  static Ref take(PyObject *dict, const Ref &key, Slots &slots) {  // empty if absent
    PyObject *v = PyDict_GetItemWithError(dict, key.p);
    if (!v && PyErr_Occurred()) throw PyError{};
    slots.used += v != nullptr;
    return v ? Ref::share(v) : Ref();
  }

  bool take_union(const Field &f, size_t i, PyObject *dict, PyObject *v, Slots &slots, const Path &at) {
    const Path here{&at, f.key.p}, type_here{&at, f.type_key.p};
    const Ref tag = take(dict, f.type_key, slots);
    const bool tagged = tag.p && tag.p != Py_None;
    slots.tags[i] = tagged ? static_cast<uint8_t>(enumerator(*f.type.en, tag.p, type_here)) : 0;
    if (v && !slots.tags[i]) fail(type_here, "missing, but the union has a value");
    if (!v && slots.tags[i]) fail(here, "missing, but its type is %R", tag.p);
    if (v) slots.bits[i] = table(*f.type.en->members[slots.tags[i]], v, here);
    return v;
  }

  void take_field(const Field &f, size_t i, PyObject *dict, Slots &slots, const Path &at) {
    const Path here{&at, f.key.p};
    const Ref v = take(dict, f.key, slots);
    bool has = v.p && v.p != Py_None;
    if (f.type_key.p) {
      has = take_union(f, i, dict, has ? v.p : nullptr, slots, at);
    } else if (has) {
      slots.bits[i] = f.vector ? vector(f.type, v.p, here) : value(f.type, v.p, here);
    } else if (v.p && f.scalar && !f.optional) {
      fail(here, "expected %s, got None", kScalars[f.type.base].name);
    }
    if (!has && f.required) fail(here, "missing required field");
    if (f.scalar && !f.optional && has && slots.bits[i] == f.standard) has = false;  // defaults are not stored
    slots.present |= static_cast<uint64_t>(has) << i;
  }

  static void refuse_unknown(const Table &t, PyObject *dict, const Path &at) {
    PyObject *key, *v;
    for (Py_ssize_t pos = 0; PyDict_Next(dict, &pos, &key, &v);) {
      const Ref held = Ref::share(key);
      if (!PyUnicode_Check(key) || PyDict_Contains(t.blank.p, key) != 1)
        fail(at, "unknown field %.60R for %s", key, t.name.c_str());
    }
  }

  fb::uoffset_t table(const Table &t, PyObject *dict, const Path &at) {
    if (!PyDict_Check(dict)) fail(at, "expected dict, got %s", type_name(dict));
    if (++depth_ > kMaxDepth) fail(at, "nested too deep");
    const Ref alive = Ref::share(dict);
    const size_t n = t.fields.size();
    Slots slots;
    for (size_t i = 0; i < n; i++) take_field(t.fields[i], i, dict, slots, at);  // children cannot be built inside
    if (slots.used != PyDict_GET_SIZE(dict)) refuse_unknown(t, dict, at);
    const auto start = fbb_.StartTable();
    for (size_t i = 0; i < n; i++) {
      const Field &f = t.fields[i];
      if (!(slots.present >> i & 1)) continue;
      if (f.scalar) sized(f.type.base, [&](auto e) { fbb_.AddElement<decltype(e)>(f.slot, slots.bits[i]); });
      else fbb_.AddOffset(f.slot, fb::Offset<void>(slots.bits[i]));
      if (f.type_key.p) fbb_.AddElement<uint8_t>(f.slot - 2, slots.tags[i]);
    }
    const auto out = fbb_.EndTable(start);
    room(0, at);
    depth_--;
    return out;
  }

  const Plan &plan_;
  fb::FlatBufferBuilder fbb_;
  int depth_ = 0;
};

}  // namespace codec
