// The libsrtp 3 calls that the worker makes, carried out by libsrtp 2.
//
// Version 3 made the policy an opaque object, gave every packet call an input and an output buffer, and sizes the
// type size_t. Version 2 works in place on int lengths. What is equal in both is passed through by the include below.
#pragma once

#include <string.h>

#include <cstddef>
#include <cstdint>
#include <new>

#define srtp_policy_t srtp2_policy_t  // version 2's struct gives way to version 3's handle of the same name
#include <srtp2/srtp.h>
#undef srtp_policy_t

// Errors that only version 3 knows.
constexpr auto srtp_err_status_buffer_small = static_cast<srtp_err_status_t>(28);
constexpr auto srtp_err_status_cryptex_err = static_cast<srtp_err_status_t>(29);

struct srtp3_policy {
  srtp2_policy_t policy;
  uint8_t key[SRTP_MAX_KEY_LEN];  // master key, then master salt: version 2 takes them joined
};
using srtp_policy_t = srtp3_policy*;

// ---------------------------------------------------------------- policies

inline srtp_err_status_t srtp_policy_create(srtp_policy_t* policy) {
  *policy = new (std::nothrow) srtp3_policy();
  return *policy ? srtp_err_status_ok : srtp_err_status_alloc_fail;
}

inline void srtp_policy_destroy(srtp_policy_t policy) {
  if (policy) explicit_bzero(policy->key, sizeof policy->key);
  delete policy;
}

inline srtp_err_status_t srtp_policy_set_ssrc(srtp_policy_t policy, srtp_ssrc_t ssrc) {
  policy->policy.ssrc = ssrc;
  return srtp_err_status_ok;
}

// Takes SRTCP's own half of the profile: its authentication tag stays at 80 bits where SRTP's has 32 (RFC 5764 §4.1.2).
inline srtp_err_status_t srtp_policy_set_profile(srtp_policy_t policy, srtp_profile_t profile) {
  const auto status = srtp_crypto_policy_set_from_profile_for_rtp(&policy->policy.rtp, profile);
  return status ? status : srtp_crypto_policy_set_from_profile_for_rtcp(&policy->policy.rtcp, profile);
}

inline srtp_err_status_t srtp_policy_add_key(srtp_policy_t policy, const uint8_t* key, size_t key_size,
                                             const uint8_t* salt, size_t salt_size, const uint8_t* mki, size_t) {
  if (mki || key_size > sizeof policy->key || salt_size > sizeof policy->key - key_size)
    return srtp_err_status_bad_param;
  memcpy(policy->key, key, key_size);
  memcpy(policy->key + key_size, salt, salt_size);
  policy->policy.key = policy->key;
  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_allow_repeat_tx(srtp_policy_t policy, bool allow) {
  policy->policy.allow_repeat_tx = allow;
  return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_window_size(srtp_policy_t policy, size_t packets) {
  policy->policy.window_size = packets;
  return srtp_err_status_ok;
}

// ---------------------------------------------------------------- sessions

inline srtp_err_status_t srtp_create(srtp_t* session, srtp_policy_t policy) {
  return srtp_create(session, &policy->policy);  // copies the key
}

inline srtp_err_status_t srtp_stream_remove(srtp_t session, uint32_t ssrc) { return srtp_remove_stream(session, ssrc); }

// ---------------------------------------------------------------- packets

// Copies a packet to where it is to be worked on, and lets version 2 do so. `growth`: the bytes that it may add.
template <class InPlace>
inline srtp_err_status_t srtp3_in_place(InPlace call, srtp_t session, const uint8_t* in, size_t in_size, uint8_t* out,
                                        size_t* out_size, size_t growth) {
  if (in_size > *out_size || growth > *out_size - in_size) return srtp_err_status_buffer_small;
  if (out != in) memmove(out, in, in_size);
  int size = static_cast<int>(in_size);
  const auto status = call(session, out, &size);
  if (status == srtp_err_status_ok) *out_size = static_cast<size_t>(size);
  return status;
}

using srtp2_call = srtp_err_status_t (*)(srtp_t, void*, int*);

inline srtp_err_status_t srtp_protect(srtp_t session, const uint8_t* rtp, size_t rtp_size, uint8_t* srtp,
                                      size_t* srtp_size, size_t /*mki_index*/) {
  return srtp3_in_place(static_cast<srtp2_call>(srtp_protect), session, rtp, rtp_size, srtp, srtp_size,
                        SRTP_MAX_TRAILER_LEN);
}

inline srtp_err_status_t srtp_protect_rtcp(srtp_t session, const uint8_t* rtcp, size_t rtcp_size, uint8_t* srtcp,
                                           size_t* srtcp_size, size_t /*mki_index*/) {
  return srtp3_in_place(static_cast<srtp2_call>(srtp_protect_rtcp), session, rtcp, rtcp_size, srtcp, srtcp_size,
                        SRTP_MAX_TRAILER_LEN + 4);  // and the SRTCP index (RFC 3711 §3.4)
}

inline srtp_err_status_t srtp_unprotect(srtp_t session, const uint8_t* srtp, size_t srtp_size, uint8_t* rtp,
                                        size_t* rtp_size) {
  return srtp3_in_place(static_cast<srtp2_call>(srtp_unprotect), session, srtp, srtp_size, rtp, rtp_size, 0);
}

inline srtp_err_status_t srtp_unprotect_rtcp(srtp_t session, const uint8_t* srtcp, size_t srtcp_size, uint8_t* rtcp,
                                             size_t* rtcp_size) {
  return srtp3_in_place(static_cast<srtp2_call>(srtp_unprotect_rtcp), session, srtcp, srtcp_size, rtcp, rtcp_size, 0);
}
