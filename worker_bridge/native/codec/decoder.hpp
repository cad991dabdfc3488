// A size-prefixed FlatBuffer into a dict. Trusts nothing: every offset is checked before it is followed.
//
// Offsets only point forward, so there are no loops, but many may share one target. A budget on what is read keeps
// such a frame from unfolding into far more than its size.
#pragma once

#include "plan.hpp"

namespace codec {

class Decoder {
 public:
  Decoder(const Plan &plan, const View &view)
      : plan_(plan), buf_(view.bytes()), size_(view.size()), budget_(kBudget * size_ + 4096) {}

  PyObject *run() {
    if (size_ > plan_.max_size) fail({}, "message larger than %zu bytes", plan_.max_size);
    if (read<uint32_t>(0, {}) != size_ - 4) fail({}, "the size prefix does not match the frame");
    return table(*plan_.root, follow(4, {}), {}).release();
  }

 private:
  // An honest frame spends at most 2.5 times its size: a vector of empty tables, 8 bytes each, costs 4 + 16.
  static constexpr size_t kBudget = 4;
  static constexpr size_t kTableCost = 16;

  template <class T>
  T read(size_t pos, const Path &at) {  // at any alignment
    if (pos > size_ || size_ - pos < sizeof(T)) fail(at, "truncated or corrupt frame");
    T v;
    memcpy(&v, buf_ + pos, sizeof v);
    return v;
  }

  size_t follow(size_t pos, const Path &at) { return pos + read<uint32_t>(pos, at); }

  void spend(size_t cost, const Path &at) {
    if (cost > budget_) fail(at, "corrupt frame: overlapping objects");
    budget_ -= cost;
  }

  size_t length(size_t pos, size_t element, const Path &at) {  // of a vector or string that lies in the frame
    const size_t n = read<uint32_t>(pos, at);
    if (n > (size_ - pos - 4) / element) fail(at, "truncated or corrupt frame");
    spend(4 + n * element, at);
    return n;
  }

  const char *chars(size_t pos) { return reinterpret_cast<const char *>(buf_ + pos); }

  Ref value(const Type &t, size_t pos, const Path &at) {
    if (t.base == Base::Obj) return table(*t.table, follow(pos, at), at);
    if (is_scalar(t.base))
      return scalar_object(t, sized(t.base, [&](auto e) -> uint64_t { return read<decltype(e)>(pos, at); }));
    pos = follow(pos, at);
    const size_t n = length(pos, 1, at);
    return Ref(PyUnicode_DecodeUTF8(chars(pos + 4), n, "replace"));  // what peers chose (a cname) may be no UTF-8
  }

  Ref vector(const Type &t, size_t pos, const Path &at) {
    pos = follow(pos, at);
    const size_t step = width(t.base), n = length(pos, step, at);
    if (is_bytes(t)) return Ref(PyBytes_FromStringAndSize(chars(pos + 4), n));
    Ref list(PyList_New(n));
    for (size_t i = 0; i < n; i++)
      PyList_SET_ITEM(list.p, i, value(t, pos + 4 + i * step, {&at, nullptr, i}).release());
    return list;
  }

  // A tag that the schema does not name comes out as an int, without a value.
  void read_union(const Field &f, size_t where, size_t tag_at, const Ref &out, const Path &here) {
    const size_t tag = tag_at ? read<uint8_t>(tag_at, here) : 0;
    const auto &members = f.type.en->members;
    if (tag) set_item(out.p, f.type_key, scalar_object({Base::UType, f.type.en}, tag));
    if (tag < members.size() && members[tag] && where)
      set_item(out.p, f.key, table(*members[tag], follow(where, here), here));
  }

  Ref table(const Table &t, size_t pos, const Path &at) {
    if (++depth_ > kMaxDepth) fail(at, "nested too deep");
    spend(kTableCost, at);
    const size_t vtable = pos - read<int32_t>(pos, at);  // out of range if it wraps
    const size_t end = read<uint16_t>(vtable, at);
    const auto find = [&](size_t slot) -> size_t {  // 0 if absent
      const size_t offset = slot + 2 <= end ? read<uint16_t>(vtable + slot, at) : 0;
      return offset ? pos + offset : 0;
    };
    Ref out(PyDict_Copy(t.blank.p));
    for (const Field &f : t.fields) {
      const Path here{&at, f.key.p};
      const size_t where = find(f.slot);
      if (!where && f.required) fail(here, "missing required field");
      if (f.type_key.p) read_union(f, where, find(f.slot - 2), out, here);
      else if (where) set_item(out.p, f.key, f.vector ? vector(f.type, where, here) : value(f.type, where, here));
    }
    depth_--;
    return out;
  }

  const Plan &plan_;
  const uint8_t *buf_;
  size_t size_, budget_;
  int depth_ = 0;
};

}  // namespace codec
