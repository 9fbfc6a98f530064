#include "op/build_digest.h"

#include <dlfcn.h>
#include <openssl/evp.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>

namespace millrace::op {

namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  std::string finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    std::string out;
    for (unsigned i = 0; i < size; ++i) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      out += kDigits[digest[i] >> 4];
      out += kDigits[digest[i] & 15];
    }
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::string digest_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  Sha256 digest;
  std::array<char, 65536> piece{};
  while (file.read(piece.data(), piece.size()) || file.gcount() > 0)
    digest.add({piece.data(), static_cast<std::size_t>(file.gcount())});
  return digest.finish();
}

std::string own_path() {
  Dl_info own{};
  if (dladdr(reinterpret_cast<const void*>(&own_path), &own) == 0 || own.dli_fname == nullptr)
    return "/proc/self/exe";
  // dli_fname is what a program was started as, which may lead nowhere.
  std::ifstream maps("/proc/self/maps");
  const auto base = reinterpret_cast<std::uintptr_t>(own.dli_fbase);
  for (std::string line; std::getline(maps, line);) {
    // "begin-end rights offset device inode          path"
    unsigned long long begin = 0;
    const std::size_t path = line.find('/');
    if (path != std::string::npos && std::sscanf(line.c_str(), "%llx-", &begin) == 1 &&
        begin == base) {
      return line.substr(path);
    }
  }
  return "/proc/self/exe";
}

}  // namespace

std::string sha256(std::string_view bytes) {
  Sha256 digest;
  digest.add(bytes);
  return digest.finish();
}

const std::string& build_digest() {
  static const std::string kDigest = digest_of_file(own_path());
  return kDigest;
}

}  // namespace millrace::op
