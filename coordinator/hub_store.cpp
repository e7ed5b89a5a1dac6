#include "coordinator/hub_store.h"

#include <sqlite3.h>

#include <cstring>

#include "coordinator/profile_bytes.h"

namespace shoal {

struct HubStore::State {
  std::string path;
  sqlite3* db = nullptr;
  ~State() { sqlite3_close(db); }

  Failure failure(const char* doing) const {
    return fail(ErrorCode::Unavailable, std::string(doing) + " " + path + ": " + sqlite3_errmsg(db));
  }
  Failure unusable(const std::string& why) const {
    return fail(ErrorCode::Unsupported,
                path + " " + why + ": give another --state directory, or move the file away");
  }
  Status run(const char* sql) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure("writing");
    return {};
  }
  Result<std::int64_t> number(const char* query);
  Status write(const RememberDevice& device);
  Status insert(const RememberPlan& plan, std::size_t stage);
  Status insert(const RememberLinks::Link& link);
  template <typename Write>
  Status as_one(Write&& write);
  template <typename Write>
  Status flushed(Write&& write);
};

namespace {

constexpr int kSchemaVersion = 2;
// With a write-ahead log a killed hub loses nothing. After a power cut the last commits may be gone: a
// measurement is made again, a device joins again. What must not be undone is flushed to the disk, and the
// reactor waits for it.
constexpr char kLogAhead[] = "PRAGMA journal_mode = WAL";
constexpr char kFlushed[] = "PRAGMA synchronous = FULL";
constexpr char kUnflushed[] = "PRAGMA synchronous = NORMAL";
// As one: a file with tables and without our version is somebody else's.
constexpr char kSchema[] = R"(
  BEGIN;
  CREATE TABLE IF NOT EXISTS hub (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS devices (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, public_key TEXT NOT NULL UNIQUE, revoked INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS profiles (
    public_key TEXT NOT NULL, model BLOB NOT NULL, profile_key INTEGER NOT NULL,
    read_bytes_per_second REAL NOT NULL, hand_over_seconds REAL NOT NULL, units BLOB NOT NULL,
    PRIMARY KEY (public_key, model)) STRICT;
  CREATE TABLE IF NOT EXISTS links (
    from_key TEXT NOT NULL, to_key TEXT NOT NULL, from_host TEXT NOT NULL, to_host TEXT NOT NULL,
    latency_seconds REAL NOT NULL, bytes_per_second REAL NOT NULL,
    PRIMARY KEY (from_key, to_key)) STRICT;
  CREATE TABLE IF NOT EXISTS plan (
    stage INTEGER PRIMARY KEY, model BLOB NOT NULL, public_key TEXT NOT NULL, first_unit INTEGER NOT NULL, end_unit INTEGER NOT NULL) STRICT;
  PRAGMA user_version = 2;
  COMMIT;
)";
static_assert(kSchemaVersion == 2);
// Version 1 kept other figures of a profile: devices measure themselves again. All else stays.
constexpr char kUpgradeFrom1[] = "DROP TABLE IF EXISTS profiles;";

// A prepared statement that finalises itself.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql) { sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr); }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  bool is_valid() const { return statement_ != nullptr; }
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(statement_, at, value); }
  void bind(int at, double value) { sqlite3_bind_double(statement_, at, value); }
  void bind(int at, const std::string& text) {
    sqlite3_bind_text(statement_, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }
  void bind(int at, Bytes blob) {
    sqlite3_bind_blob(statement_, at, blob.data(), static_cast<int>(blob.size()), SQLITE_TRANSIENT);
  }
  int step() { return sqlite3_step(statement_); }
  // Calls `take` for every row. False: reading failed before the last.
  template <typename Take>
  bool each_row(Take&& take) {
    int stepped = SQLITE_ROW;
    while ((stepped = step()) == SQLITE_ROW) take();
    return stepped == SQLITE_DONE;
  }

  std::int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
  double real(int column) { return sqlite3_column_double(statement_, column); }
  std::string text(int column) {
    const auto* from = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return from ? std::string(from, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)))
                : std::string();
  }
  Bytes blob(int column) {
    return {static_cast<const std::byte*>(sqlite3_column_blob(statement_, column)),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace

Result<std::int64_t> HubStore::State::number(const char* query) {
  Statement statement(db, query);
  if (!statement.is_valid() || statement.step() != SQLITE_ROW) return failure("reading");
  return statement.integer(0);
}

// All of the write or nothing.
template <typename Write>
Status HubStore::State::as_one(Write&& write) {
  if (Status begun = run("BEGIN"); !begun) return begun;
  Status written = write();
  if (written) written = run("COMMIT");
  if (!written) (void)run("ROLLBACK");
  return written;
}

// Performs the write so that it is on the disk when this returns.
template <typename Write>
Status HubStore::State::flushed(Write&& write) {
  if (Status strict = run(kFlushed); !strict) return strict;
  const Status written = write();
  const Status relaxed = run(kUnflushed);
  return written ? relaxed : written;
}

Status HubStore::State::insert(const RememberPlan& plan, std::size_t stage) {
  Statement statement(db, "INSERT INTO plan VALUES (?, ?, ?, ?, ?)");
  if (!statement.is_valid()) return failure("writing");
  statement.bind(1, static_cast<std::int64_t>(stage));
  statement.bind(2, std::as_bytes(std::span(plan.model)));
  statement.bind(3, plan.stages[stage].public_key);
  statement.bind(4, static_cast<std::int64_t>(plan.stages[stage].units.begin));
  statement.bind(5, static_cast<std::int64_t>(plan.stages[stage].units.end));
  if (statement.step() != SQLITE_DONE) return failure("writing");
  return {};
}

HubStore::HubStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
HubStore::HubStore(HubStore&&) noexcept = default;
HubStore::~HubStore() = default;

Result<HubStore> HubStore::open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  if (sqlite3_open(path.c_str(), &state->db) != SQLITE_OK) return state->failure("opening");
  sqlite3_busy_timeout(state->db, 2000);
  const Result<std::int64_t> version = state->number("PRAGMA user_version");
  if (!version) return state->unusable(std::string("cannot be read (") + sqlite3_errmsg(state->db) + ")");
  if (*version != 0 && *version != 1 && *version != kSchemaVersion) {
    return state->unusable("was written by another version of Shoal (its format is " +
                           std::to_string(*version) + ", this one's " + std::to_string(kSchemaVersion) + ")");
  }
  const Result<std::int64_t> tables = state->number("SELECT count(*) FROM sqlite_master");
  if (!tables) return fail(tables.error());
  if (*version == 0 && *tables > 0) return state->unusable("is a database of something else");
  if (Status logs = state->run(kLogAhead); !logs) return fail(logs.error());
  if (Status relaxed = state->run(kUnflushed); !relaxed) return fail(relaxed.error());
  if (*version == 1) {
    if (Status upgraded = state->run(kUpgradeFrom1); !upgraded) return fail(upgraded.error());
  }
  if (Status made = state->run(kSchema); !made) return fail(made.error());
  return HubStore(std::move(state));
}

Result<std::uint32_t> HubStore::next_term() {
  const Status raised = state_->flushed([&] {
    return state_->run(
        "INSERT INTO hub VALUES ('term', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1");
  });
  if (!raised) return fail(raised.error());
  const Result<std::int64_t> term = state_->number("SELECT value FROM hub WHERE name = 'term'");
  if (!term) return fail(term.error());
  return static_cast<std::uint32_t>(*term);
}

Result<std::vector<RememberDevice>> HubStore::devices() {
  Statement statement(state_->db, "SELECT id, name, public_key, revoked FROM devices ORDER BY id");
  if (!statement.is_valid()) return state_->failure("reading");
  std::vector<RememberDevice> devices;
  const bool is_whole = statement.each_row([&] {
    devices.push_back({static_cast<DeviceId>(statement.integer(0)), statement.text(1), statement.text(2),
                       statement.integer(3) != 0});
  });
  if (!is_whole) return state_->failure("reading the devices of");
  return devices;
}

Result<std::vector<RememberProfile>> HubStore::profiles() {
  Statement statement(
      state_->db,
      "SELECT public_key, model, profile_key, read_bytes_per_second, hand_over_seconds, units "
      "FROM profiles");
  if (!statement.is_valid()) return state_->failure("reading");
  std::vector<RememberProfile> profiles;
  const bool is_whole = statement.each_row([&] {
    RememberProfile profile{statement.text(0), static_cast<std::uint64_t>(statement.integer(2)), {}};
    const Bytes model = statement.blob(1);
    if (model.size() != profile.report.model.size()) return;
    std::memcpy(profile.report.model.data(), model.data(), model.size());
    profile.report.read_bytes_per_second = statement.real(3);
    profile.report.hand_over_seconds = statement.real(4);
    profile.report.units = decode_units(statement.blob(5));
    profiles.push_back(std::move(profile));
  });
  if (!is_whole) return state_->failure("reading the measurements of");
  return profiles;
}

Status HubStore::remember(const RememberDevice& device) {
  if (!device.revoked) return state_->write(device);
  return state_->flushed([&] { return state_->write(device); });
}

Status HubStore::State::write(const RememberDevice& device) {
  Statement statement(db,
                      "INSERT INTO devices VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = "
                      "excluded.name, public_key = excluded.public_key, revoked = excluded.revoked");
  if (!statement.is_valid()) return failure("writing");
  statement.bind(1, static_cast<std::int64_t>(raw(device.device)));
  statement.bind(2, device.name);
  statement.bind(3, device.public_key);
  statement.bind(4, static_cast<std::int64_t>(device.revoked));
  if (statement.step() != SQLITE_DONE) return failure("writing");
  return {};
}

Status HubStore::remember(const RememberProfile& profile) {
  Statement statement(state_->db, "INSERT OR REPLACE INTO profiles VALUES (?, ?, ?, ?, ?, ?)");
  if (!statement.is_valid()) return state_->failure("writing");
  statement.bind(1, profile.public_key);
  statement.bind(2, std::as_bytes(std::span(profile.report.model)));
  statement.bind(3, static_cast<std::int64_t>(profile.profile_key));
  statement.bind(4, profile.report.read_bytes_per_second);
  statement.bind(5, profile.report.hand_over_seconds);
  statement.bind(6, Bytes(encode_units(profile.report.units)));
  if (statement.step() != SQLITE_DONE) return state_->failure("writing");
  return {};
}

Status HubStore::remember(const RememberPlan& plan) {
  return state_->as_one([&] {
    Status written = state_->run("DELETE FROM plan");
    for (std::size_t i = 0; written && i < plan.stages.size(); ++i) written = state_->insert(plan, i);
    return written;
  });
}

Status HubStore::remember(const RememberLinks& links) {
  return state_->as_one([&] {
    Status written;
    for (std::size_t i = 0; written && i < links.links.size(); ++i) written = state_->insert(links.links[i]);
    return written;
  });
}

Status HubStore::State::insert(const RememberLinks::Link& link) {
  Statement statement(db, "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?)");
  if (!statement.is_valid()) return failure("writing");
  statement.bind(1, link.from_key);
  statement.bind(2, link.to_key);
  statement.bind(3, link.from_host);
  statement.bind(4, link.to_host);
  statement.bind(5, link.latency_seconds);
  statement.bind(6, link.bytes_per_second);
  if (statement.step() != SQLITE_DONE) return failure("writing");
  return {};
}

Result<RememberLinks> HubStore::links() {
  Statement statement(
      state_->db,
      "SELECT from_key, to_key, from_host, to_host, latency_seconds, bytes_per_second FROM links");
  if (!statement.is_valid()) return state_->failure("reading");
  RememberLinks links;
  const bool is_whole = statement.each_row([&] {
    links.links.push_back({statement.text(0), statement.text(1), statement.text(2), statement.text(3),
                           statement.real(4), statement.real(5)});
  });
  if (!is_whole) return state_->failure("reading the links of");
  return links;
}

Result<std::optional<RememberPlan>> HubStore::plan() {
  Statement statement(state_->db, "SELECT model, public_key, first_unit, end_unit FROM plan ORDER BY stage");
  if (!statement.is_valid()) return state_->failure("reading");
  std::optional<RememberPlan> plan;
  const bool is_whole = statement.each_row([&] {
    if (!plan) plan.emplace();
    const Bytes model = statement.blob(0);
    if (model.size() == plan->model.size()) std::memcpy(plan->model.data(), model.data(), model.size());
    plan->stages.push_back({statement.text(1),
                            {static_cast<std::uint32_t>(statement.integer(2)),
                             static_cast<std::uint32_t>(statement.integer(3))}});
  });
  if (!is_whole) return state_->failure("reading the plan of");
  return plan;
}

}  // namespace shoal
