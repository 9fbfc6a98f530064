// Who somebody is, and what they may do: the one decision function of all endpoints. Deny by
// default; the same error whether a thing exists or not, so that nobody learns names. Owns: a copy
// of the catalog's users, changed by its statements only. Thread: any; authenticate() with a
// password that was not checked before takes milliseconds of processor time, and does so whether
// the user exists or not. Errors: kUnauthenticated (kNotAuthenticated), kPermissionDenied
// (kNotAllowed), kResourceExhausted (kTooManyAttempts), kNotFound (kUserNotFound), kAlreadyExists.
// No error and no log line has a secret. Invariant: a change counts for everybody from its
// statement's answer on, also for connections that are open.
//
// While there is no user at all, whoever comes from this machine may do everything: a server on
// loopback needs no set-up. The first user becomes an administrator, and with it anonymous access
// ends, but where `anonymous` allows it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/scram.h"
#include "base/mutex.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "model/grant.h"

namespace millrace::access {

/// Who asks. A value: what it may do is looked up each time.
class Principal {
 public:
  /// The program itself, and whoever starts it.
  static Principal owner() { return Principal(Kind::kOwner, {}); }
  /// Nobody that is known, from this machine or from elsewhere.
  static Principal anonymous(bool from_this_machine) {
    return Principal(from_this_machine ? Kind::kLocal : Kind::kStranger, {});
  }
  static Principal user(std::string name) { return Principal(Kind::kUser, std::move(name)); }
  /// The same user, as long as the password or token with this verifier or digest is its own.
  static Principal user(std::string name, std::string_view proof);

  [[nodiscard]] bool is_user(std::string_view name) const {
    return kind_ == Kind::kUser && name_ == name;
  }
  /// Empty for nobody that is known.
  [[nodiscard]] std::string_view name() const { return name_; }
  /// "user ana", "an anonymous client"
  [[nodiscard]] std::string text() const;

 private:
  friend class Access;
  enum class Kind : std::uint8_t { kOwner, kLocal, kStranger, kUser };
  Principal(Kind kind, std::string name) : kind_(kind), name_(std::move(name)) {}

  Kind kind_;
  std::string name_;
  std::uint64_t proof_ = 0;  // a hash of what it showed; 0: nothing that can be taken back
};

enum class Anonymous : std::uint8_t {
  kUntilUsers,  // from this machine, while there is no user
  kAllowed,     // whoever reaches the server may do everything
};

class Access {
 public:
  Access(catalog::Catalog& catalog, Anonymous anonymous);

  // --- who ---

  /// `from` is the address of the client: attempts that fail make those wait that come from there
  /// and are not known yet. A token serves as its user's password.
  Result<Principal> authenticate(std::string_view user, std::string_view password,
                                 std::string_view from) EXCLUDES(mutex_);
  Result<Principal> authenticate_token(std::string_view token, std::string_view from)
      EXCLUDES(mutex_);
  /// The value of an HTTP Authorization header: Basic or Bearer.
  Result<Principal> authenticate_header(std::string_view header, std::string_view from);

  /// Somebody who says a name and will prove it by an exchange that does not send the password.
  struct Claim {
    std::string name;
    Verifier verifier;
    std::string proof;  // the verifier's text; empty where there is no such user or no password
  };
  /// Who is not there gets a verifier that nothing fits, the same one each time: nobody learns
  /// names. Attempts count as in authenticate().
  Result<Claim> claim(std::string_view user, std::string_view from) EXCLUDES(mutex_);
  /// The end of the exchange over the claim's verifier.
  Result<Principal> settle(const Claim& claim, bool proven, std::string_view from) EXCLUDES(mutex_);

  /// Who shows a certificate of `user`, by which an authority that the server trusts vouches for
  /// the name: that user, where there is one, or nobody that is known.
  [[nodiscard]] Principal certified(std::string_view user, bool from_this_machine) const
      EXCLUDES(mutex_);

  // --- what ---

  [[nodiscard]] bool allowed(const Principal& who, Privilege privilege,
                             std::string_view relation) const EXCLUDES(mutex_);
  /// `filter`: a topic, or a topic filter that a grant must cover as a whole.
  [[nodiscard]] bool topic_allowed(const Principal& who, Privilege privilege,
                                   std::string_view filter) const EXCLUDES(mutex_);
  [[nodiscard]] bool is_admin(const Principal& who) const EXCLUDES(mutex_);
  /// May do anything at all.
  [[nodiscard]] bool is_known(const Principal& who) const EXCLUDES(mutex_);
  /// Whether somebody who was let in may stay: the user is there, and the password or token that it
  /// showed is still good.
  [[nodiscard]] bool is_current(const Principal& who) const EXCLUDES(mutex_);
  /// The rows of a view as they change: whoever may follow the view, or read it.
  [[nodiscard]] bool may_follow(const Principal& who, std::string_view view) const {
    return allowed(who, Privilege::kSubscribe, view) || allowed(who, Privilege::kSelect, view);
  }
  /// Another number after each change of users, passwords, tokens and grants: for connections that
  /// look whether what they were allowed still is.
  [[nodiscard]] std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  /// For what has begun and goes on: is_current() and require().
  Status require_still(const Principal& who, Privilege privilege, std::string_view relation) const;
  Status require(const Principal& who, Privilege privilege, std::string_view relation) const;
  Status require_admin(const Principal& who, std::string_view what) const;
  [[nodiscard]] bool has_users() const EXCLUDES(mutex_);
  [[nodiscard]] bool anonymous_allowed() const { return anonymous_ == Anonymous::kAllowed; }

  // --- statements, of administrators ---

  /// The first user gets ADMIN.
  Status create_user(std::string_view name, const std::optional<std::string>& password)
      EXCLUDES(changes_);
  Status set_password(std::string_view name, std::string_view password) EXCLUDES(changes_);
  /// Errors: kFailedPrecondition (kInUse) for the last administrator, unless it is the last user.
  Status drop_user(std::string_view name) EXCLUDES(changes_);
  /// The secret, which is shown this once.
  Result<std::string> create_token(std::string_view user, std::string_view name,
                                   std::optional<std::int64_t> valid_us) EXCLUDES(changes_);
  Status drop_token(std::string_view user, std::string_view name) EXCLUDES(changes_);
  Status grant(std::string_view user, const std::vector<Grant>& grants) EXCLUDES(changes_);
  /// Errors: kFailedPrecondition (kInUse) for the ADMIN of the last administrator.
  Status revoke(std::string_view user, const std::vector<Grant>& grants) EXCLUDES(changes_);
  [[nodiscard]] std::vector<catalog::UserRecord> users() const;

 private:
  struct Attempts {
    std::uint32_t failed = 0;
    std::int64_t free_at_us = 0;
  };
  [[nodiscard]] const catalog::UserRecord* find(std::string_view name) const REQUIRES(mutex_);
  [[nodiscard]] bool may_everything(const Principal& who) const REQUIRES(mutex_);
  Result<catalog::UserRecord> record_of(std::string_view name) const EXCLUDES(mutex_);
  Status store(catalog::UserRecord user) REQUIRES(changes_) EXCLUDES(mutex_);
  Status check_an_admin_stays(std::string_view without, bool user_goes) const REQUIRES(changes_)
      EXCLUDES(mutex_);
  Status check_attempts(std::string_view from) EXCLUDES(mutex_);
  std::unexpected<Error> refuse(std::string_view from) EXCLUDES(mutex_);

  catalog::Catalog& catalog_;
  const Anonymous anonymous_;
  const std::string session_key_;  // of the digests below; random, and only in memory
  std::atomic<std::uint64_t> version_{1};
  Mutex changes_;  // held by one statement
  mutable Mutex mutex_;
  std::map<std::string, catalog::UserRecord, std::less<>> users_ GUARDED_BY(mutex_);
  /// Digest under session_key_ of user and password -> the verifier that it fits.
  std::map<std::string, std::string, std::less<>> checked_ GUARDED_BY(mutex_);
  std::map<std::string, std::string, std::less<>> user_of_token_ GUARDED_BY(mutex_);
  std::map<std::string, Attempts, std::less<>> attempts_ GUARDED_BY(mutex_);
};

/// Whether every topic that `filter` matches is matched by `wider`. Both are topic filters (MQTT 5,
/// 4.7); a topic is a filter of itself. Topics that begin with '$' are covered only by filters that
/// do.
[[nodiscard]] bool covers(std::string_view wider, std::string_view filter);

}  // namespace millrace::access
