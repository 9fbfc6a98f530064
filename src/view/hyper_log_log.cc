#include "view/hyper_log_log.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "view/short_varint.h"

// The estimate is the same bits on every machine: no product and sum become one operation.
#pragma STDC FP_CONTRACT OFF

namespace millrace::view {
namespace {

constexpr unsigned kIndexBits = 12;
constexpr unsigned kRankBits = 6;
constexpr std::uint32_t kRankMask = (1U << kRankBits) - 1;
/// From here on the packed registers are shorter than the list of those that are set.
constexpr std::uint32_t kListedMax = 1023;
constexpr std::size_t kListedBytes = 3;
constexpr std::size_t kPackedBytes = HyperLogLog::kRegisters * kRankBits / 8;

/// Ertl's sigma and tau: the sums of the two series that the registers of 0 and of the largest rank
/// stand for. Both end when another term changes nothing.
double sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double y = 1;
  double z = x;
  while (true) {
    x *= x;
    const double before = z;
    z += x * y;
    y += y;
    if (z == before) return z;
  }
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  while (true) {
    x = std::sqrt(x);
    const double before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
    if (z == before) return z / 3;
  }
}

}  // namespace

HyperLogLog::HyperLogLog(const HyperLogLog& other)
    : sparse_(other.sparse_),
      dense_(other.dense_ == nullptr ? nullptr : std::make_unique<Dense>(*other.dense_)) {}

std::uint64_t HyperLogLog::hash(std::string_view composite) {
  return XXH3_64bits(composite.data(), composite.size());
}

void HyperLogLog::add_hash(std::uint64_t hash) {
  const auto index = static_cast<std::uint32_t>(hash >> (64 - kIndexBits));
  // The bit behind those of the hash ends the zeros.
  const std::uint64_t rest = (hash << kIndexBits) | (std::uint64_t{1} << (kIndexBits - 1));
  raise(index, static_cast<std::uint8_t>(std::countl_zero(rest) + 1));
}

void HyperLogLog::raise(std::uint32_t index, std::uint8_t rank) {
  if (dense_ != nullptr) {
    auto& old = (*dense_)[index];
    old = std::max(old, rank);
    return;
  }
  const auto found = std::lower_bound(sparse_.begin(), sparse_.end(), index << kRankBits);
  if (found != sparse_.end() && *found >> kRankBits == index) {
    *found = std::max(*found, (index << kRankBits) | rank);
    return;
  }
  if (sparse_.size() < kSparseMax) {
    sparse_.insert(found, (index << kRankBits) | rank);
    return;
  }
  become_dense();
  (*dense_)[index] = rank;
}

void HyperLogLog::become_dense() {
  dense_ = std::make_unique<Dense>(ranks());
  sparse_ = {};
}

HyperLogLog::Dense HyperLogLog::ranks() const {
  if (dense_ != nullptr) return *dense_;
  Dense out = {};
  for (const std::uint32_t entry : sparse_) {
    out[entry >> kRankBits] = static_cast<std::uint8_t>(entry & kRankMask);
  }
  return out;
}

void HyperLogLog::merge(const HyperLogLog& other) {
  if (other.dense_ == nullptr) {
    for (const std::uint32_t entry : other.sparse_) {
      raise(entry >> kRankBits, static_cast<std::uint8_t>(entry & kRankMask));
    }
    return;
  }
  if (dense_ == nullptr) become_dense();
  for (std::uint32_t i = 0; i < kRegisters; ++i) {
    (*dense_)[i] = std::max((*dense_)[i], (*other.dense_)[i]);
  }
}

std::int64_t HyperLogLog::estimate() const {
  const Dense all = ranks();
  std::array<std::uint32_t, kRankMax + 1> with_rank = {};
  for (const std::uint8_t rank : all) ++with_rank[rank];
  const double registers = kRegisters;
  double z = registers * tau(1 - with_rank[kRankMax] / registers);
  for (std::size_t rank = kRankMax - 1; rank >= 1; --rank) z = 0.5 * (z + with_rank[rank]);
  z += registers * sigma(with_rank[0] / registers);
  constexpr double kAlpha = 0.72134752044448170368;  // 1 / (2 ln 2)
  const double estimate = kAlpha * registers * registers / z;
  // All registers full is beyond what 64 bits can count.
  return estimate < 9.2e18 ? static_cast<std::int64_t>(estimate + 0.5)
                           : std::numeric_limits<std::int64_t>::max();
}

void HyperLogLog::encode(std::string& out) const {
  const Dense all = ranks();
  const auto set = static_cast<std::uint32_t>(
      kRegisters - static_cast<std::uint32_t>(std::count(all.begin(), all.end(), 0)));
  ByteWriter(out).put_varint(set);
  if (set <= kListedMax) {
    for (std::uint32_t i = 0; i < kRegisters; ++i) {
      if (all[i] == 0) continue;
      const std::uint32_t entry = (i << kRankBits) | all[i];
      out.push_back(static_cast<char>(entry >> 16));
      out.push_back(static_cast<char>(entry >> 8));
      out.push_back(static_cast<char>(entry));
    }
    return;
  }
  // Four registers in three bytes, the first in the lowest bits.
  for (std::uint32_t i = 0; i < kRegisters; i += 4) {
    const std::uint32_t four = static_cast<std::uint32_t>(all[i]) |
                               (static_cast<std::uint32_t>(all[i + 1]) << 6) |
                               (static_cast<std::uint32_t>(all[i + 2]) << 12) |
                               (static_cast<std::uint32_t>(all[i + 3]) << 18);
    out.push_back(static_cast<char>(four));
    out.push_back(static_cast<char>(four >> 8));
    out.push_back(static_cast<char>(four >> 16));
  }
}

bool HyperLogLog::decode(ByteReader& in) {
  const auto byte_at = [](std::string_view bytes, std::size_t at) {
    return static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[at]));
  };
  const auto set = get_short_varint(in);
  if (!set || *set > kRegisters) return false;
  if (*set <= kListedMax) {
    const std::string_view bytes = in.get_bytes(*set * kListedBytes);
    if (!in.ok()) return false;
    std::int64_t last = -1;
    for (std::size_t at = 0; at < bytes.size(); at += kListedBytes) {
      const std::uint32_t entry =
          (byte_at(bytes, at) << 16) | (byte_at(bytes, at + 1) << 8) | byte_at(bytes, at + 2);
      const std::uint32_t index = entry >> kRankBits;
      const std::uint32_t rank = entry & kRankMask;
      if (index >= kRegisters || static_cast<std::int64_t>(index) <= last || rank == 0 ||
          rank > kRankMax)
        return false;
      last = index;
      raise(index, static_cast<std::uint8_t>(rank));
    }
    return true;
  }
  const std::string_view bytes = in.get_bytes(kPackedBytes);
  if (!in.ok()) return false;
  become_dense();
  std::uint32_t found = 0;
  for (std::uint32_t i = 0; i < kRegisters; i += 4) {
    const std::size_t at = i / 4 * 3;
    std::uint32_t four =
        byte_at(bytes, at) | (byte_at(bytes, at + 1) << 8) | (byte_at(bytes, at + 2) << 16);
    for (std::uint32_t k = 0; k < 4; ++k, four >>= kRankBits) {
      const std::uint32_t rank = four & kRankMask;
      if (rank > kRankMax) return false;
      if (rank != 0) ++found;
      (*dense_)[i + k] = static_cast<std::uint8_t>(rank);
    }
  }
  return found == *set;
}

std::size_t HyperLogLog::size_bytes() const {
  return sizeof(HyperLogLog) + sparse_.capacity() * sizeof(std::uint32_t) +
         (dense_ == nullptr ? 0 : sizeof(Dense));
}

}  // namespace millrace::view
