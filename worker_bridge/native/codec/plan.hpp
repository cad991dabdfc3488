// The schema, compiled once into what both directions walk: per table its slots, types, defaults and interned keys.
//
// Knows nothing of messages. Refuses, when it is built, what the codec does not support and the worker's schemas do
// not use: structs, vectors of unions, negative enum values, unions of anything but tables.
#pragma once

#include <flatbuffers/flatbuffers.h>
#include <flatbuffers/reflection_generated.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "python.hpp"

namespace codec {

namespace fb = flatbuffers;
using Base = reflection::BaseType;

static_assert(FLATBUFFERS_LITTLEENDIAN, "the decoder reads the wire format in place");
static_assert(sizeof(size_t) == 8, "32-bit offsets are added without overflow checks");

constexpr int kMaxDepth = 64;         // tables within tables; as flatbuffers::Verifier
constexpr size_t kMaxFields = 64;     // of one table: presence is one bit each
constexpr int64_t kMaxEnum = 65535;   // names are looked up by index
constexpr size_t kMaxFrame = 1 << 30;  // bytes; keeps the builder clear of its own 2 GiB assertion

// ---------------------------------------------------------------- types

struct Table;

struct Enum {
  std::string name;
  std::vector<Ref> names;              // by value; empty where the schema has none
  Ref values;                          // dict: name -> value
  std::vector<const Table *> members;  // by value; of unions only
};

struct Type {
  Base base = Base::None;
  const Enum *en = nullptr;      // of an enum or a union
  const Table *table = nullptr;  // of a table
};

struct Field {
  Ref key;
  Ref type_key;  // "<key>_type", of unions only
  Type type;     // of a vector: its elements' type
  bool vector;
  bool required;
  bool optional;  // "= null": absent differs from zero
  bool scalar;
  fb::voffset_t slot;  // a union's tag is at slot - 2
  uint64_t standard = 0;  // a scalar's default, as bits
};

struct Table {
  std::string name;
  std::vector<Field> fields;  // widest first, which packs best
  Ref blank;                  // dict: every key with its default; what a decoded table starts from
};

struct Plan {
  std::vector<Enum> enums;
  std::vector<Table> tables;
  const Table *root = nullptr;
  size_t max_size = 0;  // bytes of a frame, prefix included
};

// ---------------------------------------------------------------- scalars

struct Scalar {
  const char *name;
  size_t size;
  int64_t min;
  uint64_t max;
};

constexpr Scalar kScalars[] = {  // by BaseType
    {"none", 0, 0, 0},
    {"utype", 1, 0, UINT8_MAX},
    {"bool", 1, 0, 1},
    {"int8", 1, INT8_MIN, INT8_MAX},
    {"uint8", 1, 0, UINT8_MAX},
    {"int16", 2, INT16_MIN, INT16_MAX},
    {"uint16", 2, 0, UINT16_MAX},
    {"int32", 4, INT32_MIN, INT32_MAX},
    {"uint32", 4, 0, UINT32_MAX},
    {"int64", 8, INT64_MIN, INT64_MAX},
    {"uint64", 8, 0, UINT64_MAX},
    {"float32", 4, 0, 0},
    {"float64", 8, 0, 0},
};

inline bool is_scalar(Base b) { return b <= Base::Double; }
inline bool is_real(Base b) { return b == Base::Float || b == Base::Double; }
inline bool is_bytes(const Type &t) { return t.base == Base::UByte && !t.en; }  // asked of a vector's elements
inline size_t width(Base b) { return is_scalar(b) ? kScalars[b].size : sizeof(fb::uoffset_t); }

// Calls f(T{}) with the unsigned T that is as wide as b.
template <class F>
auto sized(Base b, F f) {
  switch (width(b)) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

// Scalars travel as their bits, zero-extended to 64.
template <class To, class From>
To bit_cast(From from) {
  To to{};
  memcpy(&to, &from, std::min(sizeof to, sizeof from));
  return to;
}

inline uint64_t int_bits(Base b, int64_t n) {
  return sized(b, [n](auto t) -> uint64_t { return static_cast<decltype(t)>(n); });
}

inline uint64_t real_bits(Base b, double d) {
  return b == Base::Float ? bit_cast<uint64_t>(static_cast<float>(d)) : bit_cast<uint64_t>(d);
}

// The Python value of a scalar. An enum value that the schema does not name stays an int.
inline Ref scalar_object(const Type &t, uint64_t bits) {
  if (t.en && bits < t.en->names.size() && t.en->names[bits].p) return Ref::share(t.en->names[bits].p);
  switch (t.base) {
    case Base::Bool: return Ref(PyBool_FromLong(bits != 0));
    case Base::Byte: return Ref(PyLong_FromLong(static_cast<int8_t>(bits)));
    case Base::Short: return Ref(PyLong_FromLong(static_cast<int16_t>(bits)));
    case Base::Int: return Ref(PyLong_FromLong(static_cast<int32_t>(bits)));
    case Base::Long: return Ref(PyLong_FromLongLong(static_cast<int64_t>(bits)));
    case Base::Float: return Ref(PyFloat_FromDouble(bit_cast<float>(bits)));
    case Base::Double: return Ref(PyFloat_FromDouble(bit_cast<double>(bits)));
    default: return Ref(PyLong_FromUnsignedLongLong(bits));
  }
}

// ---------------------------------------------------------------- compiling

inline void compile_enum(const reflection::Enum &in, const Plan &plan, Enum &out) {
  out.name = in.name()->str();
  out.values = Ref(PyDict_New());
  for (const auto *entry : *in.values()) {
    const int64_t value = entry->value();
    const bool member = in.is_union() && value != 0;
    const bool of_table = member && entry->union_type() && entry->union_type()->base_type() == Base::Obj;
    if (value < 0 || value > kMaxEnum || member != of_table)
      fail({}, "%s.%s: unsupported enum value or union member", out.name.c_str(), entry->name()->c_str());
    if (out.names.size() <= static_cast<size_t>(value)) {
      out.names.resize(value + 1);
      out.members.resize(value + 1);
    }
    out.names[value] = intern(entry->name()->str());
    if (member) out.members[value] = &plan.tables.at(entry->union_type()->index());
    set_item(out.values.p, out.names[value], Ref(PyLong_FromLongLong(value)));
  }
}

inline Field compile_field(const reflection::Field &in, const Plan &plan, const Table &table) {
  const bool vector = in.type()->base_type() == Base::Vector;
  const Base base = vector ? in.type()->element() : in.type()->base_type();
  const bool tagged = base == Base::UType || base == Base::Union;
  if (base == Base::None || base == Base::Vector || base > Base::Union || (vector && tagged))
    fail({}, "%s.%s: unsupported type", table.name.c_str(), in.name()->c_str());
  Field field{intern(in.name()->str()), {}, {base}, vector, in.required(), in.optional(),
              is_scalar(base) && !vector, in.offset()};
  if (base == Base::Union) field.type_key = intern(in.name()->str() + "_type");
  const int index = in.type()->index();
  if (base == Base::Obj) field.type.table = &plan.tables.at(index);
  else if (base == Base::Union || index >= 0) field.type.en = &plan.enums.at(index);
  field.standard = is_real(base) ? real_bits(base, in.default_real()) : int_bits(base, in.default_integer());
  return field;
}

inline void compile_table(const reflection::Object &in, const Plan &plan, Table &out) {
  out.name = in.name()->str();
  out.blank = Ref(PyDict_New());
  std::vector<const reflection::Field *> fields;  // the schema has them sorted by name
  for (const auto *f : *in.fields()) {
    if (!f->deprecated()) fields.push_back(f);
  }
  if (in.is_struct() || fields.size() > kMaxFields) fail({}, "%s: unsupported struct or table", out.name.c_str());
  std::sort(fields.begin(), fields.end(), [](auto *a, auto *b) { return a->id() < b->id(); });
  for (const auto *f : fields) {
    Field field = compile_field(*f, plan, out);
    const bool tag = field.type.base == Base::UType;  // goes with its union, but has its key in the blank
    const bool valued = field.scalar && !tag && !field.optional;
    set_item(out.blank.p, field.key, valued ? scalar_object(field.type, field.standard) : Ref::share(Py_None));
    if (!tag) out.fields.push_back(std::move(field));
  }
  const auto inline_width = [](const Field &f) { return f.scalar ? width(f.type.base) : sizeof(fb::uoffset_t); };
  std::stable_sort(out.fields.begin(), out.fields.end(),
                   [&](auto &a, auto &b) { return inline_width(a) > inline_width(b); });
}

// Compiles a binary schema (`flatc --binary --schema`). Raises ValueError where it is none, or uses what we do not.
inline std::unique_ptr<const Plan> compile(PyObject *bfbs, const char *root, Py_ssize_t max_size) {
  const View view(bfbs, {});
  fb::Verifier verifier(view.bytes(), view.size());
  if (view.size() < 8 || !reflection::SchemaBufferHasIdentifier(view.bytes()) ||
      !reflection::VerifySchemaBuffer(verifier))
    fail({}, "not a binary schema");
  const auto &schema = *reflection::GetSchema(view.bytes());
  auto plan = std::make_unique<Plan>();
  plan->tables.resize(schema.objects()->size());  // sized first, because the plan points into itself
  plan->enums.resize(schema.enums()->size());
  plan->max_size = std::clamp<Py_ssize_t>(max_size, 0, kMaxFrame);
  for (size_t i = 0; i < plan->enums.size(); i++) compile_enum(*schema.enums()->Get(i), *plan, plan->enums[i]);
  for (size_t i = 0; i < plan->tables.size(); i++) compile_table(*schema.objects()->Get(i), *plan, plan->tables[i]);
  for (const Table &t : plan->tables) {
    if (t.name == root) plan->root = &t;
  }
  if (!plan->root) fail({}, "the schema has no table %s", root);
  return plan;
}

}  // namespace codec
