#include "access/access.h"

#include <openssl/rand.h>

#include <algorithm>

#include "access/scram.h"
#include "base/ascii_case.h"
#include "base/check.h"
#include "format/base64.h"
#include "runtime/clock.h"

namespace millrace::access {

namespace {

constexpr std::size_t kSecretBytes = 24;
constexpr std::string_view kTokenPrefix = "mr_";
constexpr std::size_t kPasswordBytesMax = 1024;
constexpr std::size_t kTokensMax = 64;
constexpr std::size_t kGrantsMax = 4096;
/// Passwords that were checked, and addresses that failed: beyond these the memory begins anew.
constexpr std::size_t kCheckedMax = 10'000;
constexpr std::size_t kAddressesMax = 10'000;
/// Attempts of one address that may fail in a row; each further one doubles its pause.
constexpr std::uint32_t kFreeAttempts = 8;
constexpr std::int64_t kPauseUs = 250'000;
constexpr unsigned kPauseDoublings = 7;

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  const int made =
      RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  MR_CHECK(made == 1, "no random bytes");
  return out;
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

bool has_admin(const catalog::UserRecord& user) {
  return std::ranges::find(user.grants, Privilege::kAdmin, &Grant::privilege) != user.grants.end();
}

std::unexpected<Error> no_user(std::string_view name) {
  return fail(ErrorCode::kNotFound, error_id::kUserNotFound, "there is no user {}", name);
}

/// Takes the next level off the front of a filter; false where there is none.
bool next_level(std::string_view& rest, bool& ended, std::string_view& level) {
  if (ended) return false;
  const auto slash = rest.find('/');
  level = rest.substr(0, slash);
  ended = slash == std::string_view::npos;
  if (!ended) rest.remove_prefix(slash + 1);
  return true;
}

}  // namespace

bool covers(std::string_view wider, std::string_view filter) {
  if (filter.starts_with('$') && !wider.starts_with('$')) return false;
  bool wider_ended = false;
  bool filter_ended = false;
  std::string_view want;
  std::string_view have;
  while (true) {
    const bool more_wider = next_level(wider, wider_ended, want);
    if (more_wider && want == "#") return true;
    const bool more_filter = next_level(filter, filter_ended, have);
    if (!more_wider || !more_filter) return !more_wider && !more_filter;
    if (have == "#") return false;
    if (want != "+" && want != have) return false;
  }
}

std::string Principal::text() const {
  switch (kind_) {
    case Kind::kOwner:
      return "the owner";
    case Kind::kLocal:
    case Kind::kStranger:
      return "an anonymous client";
    case Kind::kUser:
      break;
  }
  return "user " + name_;
}

namespace {
std::uint64_t hash_of(std::string_view proof) {
  return std::max<std::uint64_t>(1, std::hash<std::string_view>()(proof));
}
}  // namespace

Principal Principal::user(std::string name, std::string_view proof) {
  auto out = user(std::move(name));
  out.proof_ = hash_of(proof);
  return out;
}

Access::Access(catalog::Catalog& catalog, Anonymous anonymous)
    : catalog_(catalog), anonymous_(anonymous), session_key_(random_bytes(kSecretBytes)) {
  const MutexLock lock(mutex_);
  for (auto& user : catalog_.users()) {
    for (const auto& token : user.tokens) user_of_token_.emplace(token.digest, user.name);
    auto name = user.name;
    users_.emplace(std::move(name), std::move(user));
  }
}

// ---- who ----

Status Access::check_attempts(std::string_view from) {
  const MutexLock lock(mutex_);
  const auto found = attempts_.find(from);
  if (found == attempts_.end() || found->second.free_at_us <= runtime::monotonic_us()) return {};
  return fail(ErrorCode::kResourceExhausted, error_id::kTooManyAttempts,
              "too many attempts to log in failed from this address");
}

std::unexpected<Error> Access::refuse(std::string_view from) {
  {
    const MutexLock lock(mutex_);
    if (attempts_.size() >= kAddressesMax) attempts_.clear();
    auto& attempts = attempts_[std::string(from)];
    if (++attempts.failed > kFreeAttempts) {
      const auto doublings = std::min(attempts.failed - kFreeAttempts - 1, kPauseDoublings);
      attempts.free_at_us = runtime::monotonic_us() + (kPauseUs << doublings);
    }
  }
  return fail(ErrorCode::kUnauthenticated, error_id::kNotAuthenticated,
              "the user name or the secret is wrong");
}

Result<Principal> Access::authenticate(std::string_view user, std::string_view password,
                                       std::string_view from) {
  const std::string name = lower_name(user);
  if (password.size() > kPasswordBytesMax) return refuse(from);
  if (password.starts_with(kTokenPrefix)) {
    auto holder = authenticate_token(password, from);
    if (!holder || holder->name_ == name) return holder;
    return refuse(from);
  }
  const std::string digest(
      bytes_of(hmac_sha256(session_key_, fmt::format("{}\n{}", name, password))));
  std::string verifier;
  {
    const MutexLock lock(mutex_);
    const auto* const record = find(name);
    if (record != nullptr) verifier = record->verifier;
    const auto checked = checked_.find(digest);
    if (!verifier.empty() && checked != checked_.end() && checked->second == verifier)
      return Principal::user(name, verifier);
  }
  // Behind the look-up: somebody else who guesses from the same address holds nobody up who is
  // known.
  MR_RETURN_IF_ERROR(check_attempts(from));
  // Somebody who does not exist costs as much as somebody who does.
  static const Verifier nobody = make_verifier("");
  const auto parsed = verifier.empty() ? Result<Verifier>(nobody) : Verifier::parse(verifier);
  if (!parsed) return std::unexpected(parsed.error());
  const bool fits = check_password(*parsed, password);
  if (!fits || verifier.empty()) return refuse(from);
  const MutexLock lock(mutex_);
  if (checked_.size() >= kCheckedMax) checked_.clear();
  checked_.insert_or_assign(digest, verifier);
  attempts_.erase(std::string(from));
  return Principal::user(name, verifier);
}

Result<Access::Claim> Access::claim(std::string_view user, std::string_view from) {
  MR_RETURN_IF_ERROR(check_attempts(from));
  Claim out;
  out.name = lower_name(user);
  {
    const MutexLock lock(mutex_);
    if (const auto* const record = find(out.name)) out.proof = record->verifier;
  }
  if (!out.proof.empty()) {
    MR_TRY(out.verifier, Verifier::parse(out.proof));
    return out;
  }
  static const Verifier nobody = make_verifier("");
  out.verifier = nobody;
  const Digest salt = hmac_sha256(session_key_, "salt of " + out.name);
  out.verifier.salt = bytes_of(salt).substr(0, nobody.salt.size());
  return out;
}

Result<Principal> Access::settle(const Claim& claim, bool proven, std::string_view from) {
  {
    const MutexLock lock(mutex_);
    const auto* const record = find(claim.name);
    if (proven && !claim.proof.empty() && record != nullptr && record->verifier == claim.proof) {
      attempts_.erase(std::string(from));
      return Principal::user(claim.name, claim.proof);
    }
  }
  return refuse(from);
}

Result<Principal> Access::authenticate_token(std::string_view token, std::string_view from) {
  const std::string digest = hex(bytes_of(sha256(token)));
  {
    const MutexLock lock(mutex_);
    if (const auto owner = user_of_token_.find(digest); owner != user_of_token_.end()) {
      const auto* const user = find(owner->second);
      MR_CHECK(user != nullptr, "a token of a user who is not there");
      const auto held = std::ranges::find(user->tokens, digest, &catalog::TokenRecord::digest);
      if (held != user->tokens.end() &&
          (!held->expires_us || *held->expires_us > runtime::wall_us())) {
        return Principal::user(user->name, digest);
      }
    }
  }
  MR_RETURN_IF_ERROR(check_attempts(from));
  return refuse(from);
}

Result<Principal> Access::authenticate_header(std::string_view header, std::string_view from) {
  const auto blank = header.find(' ');
  const std::string_view scheme = header.substr(0, blank);
  std::string_view value = blank == std::string_view::npos ? "" : header.substr(blank + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (same_name(scheme, "Bearer")) return authenticate_token(value, from);
  if (same_name(scheme, "Basic")) {
    const auto plain = format::base64_decode(value);
    const auto colon = plain ? plain->find(':') : std::string::npos;
    if (colon == std::string::npos) return refuse(from);
    const std::string_view text = *plain;
    return authenticate(text.substr(0, colon), text.substr(colon + 1), from);
  }
  return fail(ErrorCode::kUnauthenticated, error_id::kNotAuthenticated,
              "the Authorization header is neither Basic nor Bearer");
}

// ---- what ----

const catalog::UserRecord* Access::find(std::string_view name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : &found->second;
}

bool Access::may_everything(const Principal& who) const {
  switch (who.kind_) {
    case Principal::Kind::kOwner:
      return true;
    case Principal::Kind::kLocal:
      return anonymous_ == Anonymous::kAllowed || users_.empty();
    case Principal::Kind::kStranger:
      return anonymous_ == Anonymous::kAllowed;
    case Principal::Kind::kUser:
      break;
  }
  const auto* const user = find(who.name_);
  return user != nullptr && has_admin(*user);
}

bool Access::is_admin(const Principal& who) const {
  const MutexLock lock(mutex_);
  return may_everything(who);
}

Principal Access::certified(std::string_view user, bool from_this_machine) const {
  if (!user.empty()) {
    const MutexLock lock(mutex_);
    if (find(user) != nullptr) return Principal::user(std::string(user));
  }
  return Principal::anonymous(from_this_machine);
}

bool Access::is_known(const Principal& who) const {
  const MutexLock lock(mutex_);
  return may_everything(who) || (who.kind_ == Principal::Kind::kUser && find(who.name_) != nullptr);
}

bool Access::is_current(const Principal& who) const {
  const MutexLock lock(mutex_);
  if (who.kind_ != Principal::Kind::kUser) return may_everything(who);
  const auto* const user = find(who.name_);
  if (user == nullptr) return false;
  if (who.proof_ == 0) return true;
  if (!user->verifier.empty() && hash_of(user->verifier) == who.proof_) return true;
  return std::ranges::any_of(user->tokens, [&](const catalog::TokenRecord& token) {
    return hash_of(token.digest) == who.proof_ &&
           (!token.expires_us || *token.expires_us > runtime::wall_us());
  });
}

Status Access::require_still(const Principal& who, Privilege privilege,
                             std::string_view relation) const {
  if (is_current(who)) return require(who, privilege, relation);
  return fail(ErrorCode::kUnauthenticated, error_id::kNotAuthenticated,
              "what {} logged in with is not valid any more", who.text());
}

bool Access::allowed(const Principal& who, Privilege privilege, std::string_view relation) const {
  const MutexLock lock(mutex_);
  if (may_everything(who)) return true;
  const auto* const user = who.kind_ == Principal::Kind::kUser ? find(who.name_) : nullptr;
  return user != nullptr && std::ranges::any_of(user->grants, [&](const Grant& grant) {
           return grant.privilege == privilege &&
                  (grant.target == GrantTarget::kAll ||
                   (grant.target == GrantTarget::kRelation && same_name(grant.object, relation)));
         });
}

bool Access::topic_allowed(const Principal& who, Privilege privilege,
                           std::string_view filter) const {
  const MutexLock lock(mutex_);
  if (may_everything(who)) return true;
  const auto* const user = who.kind_ == Principal::Kind::kUser ? find(who.name_) : nullptr;
  return user != nullptr && std::ranges::any_of(user->grants, [&](const Grant& grant) {
           return grant.privilege == privilege &&
                  (grant.target == GrantTarget::kAll ||
                   (grant.target == GrantTarget::kTopic && covers(grant.object, filter)));
         });
}

Status Access::require(const Principal& who, Privilege privilege, std::string_view relation) const {
  if (allowed(who, privilege, relation)) return {};
  return std::unexpected(
      Error{.code = ErrorCode::kPermissionDenied,
            .id = std::string(error_id::kNotAllowed),
            .message = fmt::format("{} may not {} '{}', or there is no such thing", who.text(),
                                   privilege_name(privilege), relation),
            .hint = "an administrator can GRANT it",
            .place = {}});
}

Status Access::require_admin(const Principal& who, std::string_view what) const {
  if (is_admin(who)) return {};
  return std::unexpected(
      Error{.code = ErrorCode::kPermissionDenied,
            .id = std::string(error_id::kNotAllowed),
            .message = fmt::format("{} may not {}: it takes ADMIN", who.text(), what),
            .hint = "an administrator can GRANT it",
            .place = {}});
}

bool Access::has_users() const {
  const MutexLock lock(mutex_);
  return !users_.empty();
}

// ---- statements ----

std::vector<catalog::UserRecord> Access::users() const { return catalog_.users(); }

Result<catalog::UserRecord> Access::record_of(std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto* const user = find(name);
  if (user == nullptr) return no_user(name);
  return *user;
}

Status Access::store(catalog::UserRecord user) {
  MR_RETURN_IF_ERROR(catalog_.put_user(user));
  const MutexLock lock(mutex_);
  std::erase_if(user_of_token_, [&](const auto& entry) { return entry.second == user.name; });
  for (const auto& token : user.tokens) user_of_token_.emplace(token.digest, user.name);
  auto name = user.name;
  users_.insert_or_assign(std::move(name), std::move(user));
  version_.fetch_add(1, std::memory_order_release);
  return {};
}

Status Access::create_user(std::string_view name, const std::optional<std::string>& password) {
  const MutexLock change(changes_);
  catalog::UserRecord user{
      .name = std::string(name), .verifier = {}, .created_us = runtime::wall_us()};
  {
    const MutexLock lock(mutex_);
    if (find(name) != nullptr) {
      return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists, "user {} exists already",
                  name);
    }
    if (users_.empty()) user.grants.push_back({Privilege::kAdmin, GrantTarget::kAll});
  }
  if (password) {
    if (password->empty() || password->size() > kPasswordBytesMax) {
      return fail(ErrorCode::kInvalidArgument, error_id::kBadOption, "a password has 1 to {} bytes",
                  kPasswordBytesMax);
    }
    user.verifier = make_verifier(*password).text();
  }
  return store(std::move(user));
}

Status Access::set_password(std::string_view name, std::string_view password) {
  const MutexLock change(changes_);
  MR_TRY(auto user, record_of(name));
  if (password.empty() || password.size() > kPasswordBytesMax) {
    return fail(ErrorCode::kInvalidArgument, error_id::kBadOption, "a password has 1 to {} bytes",
                kPasswordBytesMax);
  }
  user.verifier = make_verifier(password).text();
  return store(std::move(user));
}

Status Access::check_an_admin_stays(std::string_view without, bool user_goes) const {
  const MutexLock lock(mutex_);
  const auto* const user = find(without);
  if (user == nullptr || !has_admin(*user) || (user_goes && users_.size() == 1)) return {};
  for (const auto& [name, other] : users_) {
    if (name != without && has_admin(other)) return {};
  }
  return fail(ErrorCode::kFailedPrecondition, error_id::kInUse, "user {} is the only administrator",
              without);
}

Status Access::drop_user(std::string_view name) {
  const MutexLock change(changes_);
  MR_RETURN_IF_ERROR(check_an_admin_stays(name, /*user_goes=*/true));
  MR_RETURN_IF_ERROR(catalog_.drop_user(name));
  const MutexLock lock(mutex_);
  std::erase_if(user_of_token_, [&](const auto& entry) { return entry.second == name; });
  users_.erase(std::string(name));
  version_.fetch_add(1, std::memory_order_release);
  return {};
}

Result<std::string> Access::create_token(std::string_view user_name, std::string_view name,
                                         std::optional<std::int64_t> valid_us) {
  const MutexLock change(changes_);
  MR_TRY(auto user, record_of(user_name));
  if (std::ranges::find(user.tokens, name, &catalog::TokenRecord::name) != user.tokens.end()) {
    return fail(ErrorCode::kAlreadyExists, error_id::kAlreadyExists,
                "user {} has a token {} already", user_name, name);
  }
  if (user.tokens.size() >= kTokensMax) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kInUse, "user {} has {} tokens already",
                user_name, kTokensMax);
  }
  const std::string secret = std::string(kTokenPrefix) + hex(random_bytes(kSecretBytes));
  const auto now = runtime::wall_us();
  user.tokens.push_back(
      {.name = std::string(name), .digest = hex(bytes_of(sha256(secret))), .created_us = now});
  if (valid_us) user.tokens.back().expires_us = now + *valid_us;
  MR_RETURN_IF_ERROR(store(std::move(user)));
  return secret;
}

Status Access::drop_token(std::string_view user_name, std::string_view name) {
  const MutexLock change(changes_);
  MR_TRY(auto user, record_of(user_name));
  if (std::erase_if(user.tokens, [&](const auto& token) { return token.name == name; }) == 0) {
    return fail(ErrorCode::kNotFound, error_id::kUserNotFound, "user {} has no token {}", user_name,
                name);
  }
  return store(std::move(user));
}

Status Access::grant(std::string_view user_name, const std::vector<Grant>& grants) {
  const MutexLock change(changes_);
  MR_TRY(auto user, record_of(user_name));
  for (const auto& grant : grants) {
    if (std::ranges::find(user.grants, grant) == user.grants.end()) user.grants.push_back(grant);
  }
  if (user.grants.size() > kGrantsMax) {
    return fail(ErrorCode::kFailedPrecondition, error_id::kInUse, "user {} would have {} grants",
                user_name, user.grants.size());
  }
  return store(std::move(user));
}

Status Access::revoke(std::string_view user_name, const std::vector<Grant>& grants) {
  const MutexLock change(changes_);
  MR_TRY(auto user, record_of(user_name));
  for (const auto& grant : grants) {
    if (std::erase(user.grants, grant) == 0) {
      return fail(ErrorCode::kNotFound, error_id::kUserNotFound, "user {} has no {}", user_name,
                  grant.text());
    }
  }
  if (!has_admin(user)) MR_RETURN_IF_ERROR(check_an_admin_stays(user_name, /*user_goes=*/false));
  return store(std::move(user));
}

}  // namespace millrace::access
