#include "partition/path_search.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "base/check.h"

namespace shoal {
namespace {

constexpr std::uint32_t kMaxClosingBounds = 16;  // above, one bound serves for all that close
constexpr double kRounding = 1e-12;  // relative: sums of the same terms in another order count as equal

// Every bit of x reaches every bit of the result (Steele, Lea and Flood 2014, SplitMix64's last steps).
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

std::uint64_t bit_of(std::uint32_t v) { return std::uint64_t{1} << v; }

}  // namespace

bool better(const SearchOutcome& a, const SearchOutcome& b) {
  if (!a.found() || !b.found()) return a.found();
  const double slack = kRounding * b.objective;
  if (a.objective < b.objective - slack) return true;
  if (a.objective > b.objective + slack) return false;
  const std::size_t count_a = num_distinct_devices(a.stages);
  const std::size_t count_b = num_distinct_devices(b.stages);
  if (count_a != count_b) return count_a < count_b;
  return std::lexicographical_compare(a.stages.begin(), a.stages.end(), b.stages.begin(), b.stages.end(),
                                      [](const PlannedStage& x, const PlannedStage& y) {
                                        return x.device != y.device ? x.device < y.device
                                                                    : x.units.end < y.units.end;
                                      });
}

PathSearch::PathSearch(const SearchSpace& space, const DevicePrices& prices)
    : space_(space),
      all_prices_(std::accumulate(prices.begin(), prices.end(), 0.0)),
      open_bound_(space, {PlanFamily::Open}, prices),
      most_units_(space.num_devices(), 0) {
  const std::uint32_t num_devices = space.num_devices();
  SHOAL_CHECK(num_devices <= kMaxSearchDevices);
  SHOAL_CHECK(prices.empty() || (space.times().sums() && prices.size() == num_devices));
  const bool each_has_a_bound = num_devices <= kMaxClosingBounds;
  if (space.any_ring() && !each_has_a_bound)
    either_bound_.emplace(space, PlanFamily{PlanFamily::Either}, prices);
  for (std::uint32_t v = 0; v < num_devices; ++v) {
    closing_bounds_.emplace_back();
    if (space.may_close_ring(v) && each_has_a_bound)
      closing_bounds_.back().emplace(space, PlanFamily{PlanFamily::Ring, v, 1}, prices);
    find_reaches(v);
    same_before_.push_back(kNone);
    for (std::uint32_t w = 0; w < v; ++w) {
      if (space.kind(v) == space.kind(w)) same_before_[v] = w;
    }
  }
  by_reach_.resize(num_devices);
  std::iota(by_reach_.begin(), by_reach_.end(), 0u);
  std::stable_sort(by_reach_.begin(), by_reach_.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return most_units_[a] > most_units_[b]; });
}

void PathSearch::find_reaches(std::uint32_t v) {
  const std::uint32_t num_units = space_.num_units();
  for (std::uint32_t prefix = 0; prefix <= num_units; ++prefix) {
    std::uint32_t suffix = num_units;
    while (suffix > prefix && space_.may_close(v, prefix, suffix - 1)) --suffix;
    first_suffix_.push_back(suffix);
  }
  for (std::uint32_t begin = 0; begin < num_units; ++begin)
    most_units_[v] = std::max(most_units_[v], space_.reach(v, begin) - begin);
}

SearchOutcome PathSearch::run(const SearchLimits& limits, const SearchOutcome& incumbent) {
  begin_run(limits, incumbent);
  const bool is_beam = limits.beam_width < kNone;
  add_first_stages();
  for (std::uint32_t end = 1; end < space_.num_units(); ++end) {
    std::vector<std::uint32_t>& layer = layers_[end];
    if (layer.size() > limits_.beam_width) {
      const std::size_t size = layer.size();
      keep_best(layer);
      cut_off_ = cut_off_ || layer.size() < size;
    }
    for (const std::uint32_t id : layer) expand(id);
    if (cut_off_ && !is_beam) break;  // proves nothing any more
  }
  best_.complete = !cut_off_;
  return best_;
}

void PathSearch::begin_run(const SearchLimits& limits, const SearchOutcome& incumbent) {
  limits_ = limits;
  best_ = incumbent;
  cut_off_ = false;
  labels_.clear();
  layers_.assign(space_.num_units() + std::size_t{1}, {});
  table_.assign(std::size_t{1} << 12, {});
}

void PathSearch::add_first_stages() {
  const auto num_devices = static_cast<std::uint16_t>(space_.num_devices());
  for (std::uint32_t v = 0; v < num_devices; ++v) {
    if (!is_next_of_its_kind(0, v)) continue;
    Label start;
    start.closing = num_devices;
    start.unpaid = all_prices_;
    start.cost = space_.entry(v);
    extend(start, kNone, v);
    if (!space_.may_close_ring(v)) continue;
    start.closing = static_cast<std::uint16_t>(v);
    extend(start, kNone, v);
  }
}

void PathSearch::expand(std::uint32_t id) {
  const Label from = labels_[id];  // a copy: extend() may move the labels
  if (hopeless(bound_of(from)) || !can_finish(from)) return;
  if (from.closing < space_.num_devices()) close(from, id);
  const auto count = static_cast<std::uint32_t>(std::popcount(from.used));
  if (space_.exact_devices > 0 && count == space_.exact_devices) return;
  for (std::uint32_t w = 0; w < space_.num_devices(); ++w) {
    if ((from.used & bit_of(w)) == 0 && is_next_of_its_kind(from.used, w)) extend(from, id, w);
  }
}

// Device w runs units [from.end, end) for every end that fits.
void PathSearch::extend(const Label& from, std::uint32_t from_id, std::uint32_t w) {
  const bool is_first = from_id == kNone;
  const bool closes = from.closing < space_.num_devices();
  const double arrival =
      is_first ? from.cost : space_.times().join(from.cost, space_.hop(from.last, w, from.end));
  if (hopeless(arrival)) return;
  Label next = from;
  next.parent = from_id;
  next.used |= bit_of(w);
  next.unpaid -= open_bound_.price(w);
  next.last = static_cast<std::uint16_t>(w);
  const std::uint32_t reach = std::min(space_.reach(w, from.end), space_.num_units() - (closes ? 1 : 0));
  for (std::uint32_t end = from.end + 1u; end <= reach; ++end) {
    next.end = static_cast<std::uint16_t>(end);
    next.cost = space_.times().join(arrival, space_.stage(w, from.end, end));
    if (hopeless(next.cost)) break;
    next.bare = bare_after(from, from.end, end);
    if (end == space_.num_units()) {
      finish(space_.times().join(next.cost, space_.exit(w)), next, from_id, {w, {from.end, end}});
      break;
    }
    if (closes) {
      if (is_first) next.prefix = next.end;
      if (first_suffix_[next.closing * (space_.num_units() + std::size_t{1}) + next.prefix] >=
          space_.num_units())
        break;
      next.closing_class = static_cast<std::uint16_t>(closing_class(next.closing, next.prefix, end));
    }
    if (!hopeless(bound_of(next))) insert(next);
  }
}

// The first device runs all that is left.
void PathSearch::close(const Label& from, std::uint32_t from_id) {
  if (from.last == from.closing || !space_.may_close(from.closing, from.prefix, from.end)) return;
  const double arrival = space_.times().join(from.cost, space_.hop(from.last, from.closing, from.end));
  const double cost = space_.times().join(arrival, space_.closing(from.closing, from.prefix, from.end));
  Label closed = from;
  if ((from.bare & 1) != 0 && from.end < space_.layers().end)
    closed.bare = static_cast<std::uint16_t>(from.bare - 3);
  finish(cost, closed, from_id, {from.closing, {from.end, space_.num_units()}});
}

void PathSearch::finish(double cost, const Label& last_label, std::uint32_t parent,
                        PlannedStage final_stage) {
  if (hopeless(cost)) return;
  const auto count = static_cast<std::uint32_t>(std::popcount(last_label.used));
  if (space_.exact_devices > 0 && count != space_.exact_devices) return;
  if (space_.min_devices > 1 && count - last_label.bare / 2u < space_.min_devices) return;
  SearchOutcome found;
  found.objective = cost;
  found.stages.push_back({space_.device(final_stage.device), final_stage.units});
  for (std::uint32_t id = parent; id != kNone; id = labels_[id].parent) {
    const Label& label = labels_[id];
    const std::uint32_t begin = label.parent == kNone ? 0 : labels_[label.parent].end;
    found.stages.push_back({space_.device(label.last), {begin, label.end}});
  }
  std::reverse(found.stages.begin(), found.stages.end());
  if (!better(found, best_)) return;
  best_ = std::move(found);
}

// Keeps the cheaper of two partial plans that have the same future.
void PathSearch::insert(const Label& label) {
  if ((labels_.size() + 1) * 2 > table_.size()) grow_table();
  Slot& slot = slot_of(label);
  if (slot.id != kNone) {
    Label& known = labels_[slot.id];
    if (label.cost < known.cost) known = label;
    return;
  }
  if (labels_.size() >= limits_.max_labels) {
    cut_off_ = true;
    return;
  }
  slot.id = static_cast<std::uint32_t>(labels_.size());
  layers_[label.end].push_back(slot.id);
  labels_.push_back(label);
}

// Where the label of the same future is, or where it is to be entered.
PathSearch::Slot& PathSearch::slot_of(const Label& label) {
  const std::uint64_t place = std::uint64_t{label.end} << 48 | std::uint64_t{label.last} << 40 |
                              std::uint64_t{label.closing} << 32 | std::uint64_t{label.closing_class} << 16 |
                              label.bare;
  const std::uint64_t hash = mix(label.used ^ mix(place));
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  const std::size_t last_slot = table_.size() - 1;
  std::size_t at = hash & last_slot;
  for (; table_[at].id != kNone; at = (at + 1) & last_slot) {
    if (table_[at].tag != tag) continue;
    const Label& other = labels_[table_[at].id];
    if (other.used == label.used && other.end == label.end && other.last == label.last &&
        other.closing == label.closing && other.closing_class == label.closing_class &&
        other.bare == label.bare) {
      break;
    }
  }
  table_[at].tag = tag;
  return table_[at];
}

void PathSearch::grow_table() {
  table_.assign(table_.size() * 2, {});
  for (std::uint32_t id = 0; id < labels_.size(); ++id) slot_of(labels_[id]).id = id;
}

// Plans that close the ring and plans that do not are ranked apart: their bounds are not equally good.
void PathSearch::keep_best(std::vector<std::uint32_t>& layer) const {
  std::vector<std::pair<double, std::uint32_t>> open, closing;
  for (const std::uint32_t id : layer) {
    const bool closes = labels_[id].closing < space_.num_devices();
    (closes ? closing : open).emplace_back(bound_of(labels_[id]), id);
  }
  layer.clear();
  for (auto* ranked : {&open, &closing}) {
    if (ranked->size() > limits_.beam_width) {
      const auto middle = ranked->begin() + static_cast<std::ptrdiff_t>(limits_.beam_width);
      std::nth_element(ranked->begin(), middle, ranked->end());
      ranked->erase(middle, ranked->end());
    }
    std::sort(ranked->begin(), ranked->end());
    for (const auto& [bound, id] : *ranked) layer.push_back(id);
  }
}

bool PathSearch::hopeless(double bound) const {
  if (bound == kNever) return true;
  if (!best_.found()) return false;
  const double slack = kRounding * (best_.objective + all_prices_);
  return space_.times().sums() ? bound > best_.objective + slack : bound >= best_.objective - slack;
}

// Counting: do the unused devices have room for the units that are left?
bool PathSearch::can_finish(const Label& label) const {
  std::uint32_t units = space_.num_units() - label.end;
  std::uint64_t bytes = space_.memory().of_range(label.end, space_.num_units());
  const auto take = [&](std::uint32_t v) {
    units -= std::min(units, most_units_[v]);
    bytes -= std::min(bytes, space_.room(v));
  };
  if (label.closing < space_.num_devices()) take(label.closing);
  for (const std::uint32_t v : by_reach_) {
    if (units == 0 && bytes == 0) return true;
    if ((label.used & bit_of(v)) == 0) take(v);
  }
  return units == 0 && bytes == 0;
}

double PathSearch::bound_of(const Label& label) const {
  const bool closes = label.closing < space_.num_devices();
  const bool has_own = closes && closing_bounds_[label.closing].has_value();
  const CompletionBound& bound = has_own  ? *closing_bounds_[label.closing]
                                 : closes ? *either_bound_
                                          : open_bound_;
  // Without a bound of its own, the return to the closing device is one more stage of a plan that ends there.
  const std::uint32_t further =
      further_devices(label) + (closes && !has_own && space_.exact_devices > 0 ? 1 : 0);
  return space_.times().join(label.cost, bound.after(further, label.end, label.last)) - label.unpaid;
}

std::uint32_t PathSearch::further_devices(const Label& label) const {
  const auto count = static_cast<std::uint32_t>(std::popcount(label.used));
  if (space_.exact_devices > 0) return space_.exact_devices - count;
  if (space_.min_devices <= 1) return 0;
  const std::uint32_t holding =
      count - label.bare / 2u + (label.bare & 1u);  // the closing device may yet get a layer
  return holding < space_.min_devices ? space_.min_devices - holding : 0;
}

// Partial plans with the same closing device differ in its prefix. For sums the prefix only limits how many
// of the last units still fit beside it, and not even that once every suffix from `end` on does; otherwise
// its time counts too.
std::uint32_t PathSearch::closing_class(std::uint32_t device, std::uint32_t prefix, std::uint32_t end) const {
  if (!space_.times().sums()) return prefix;
  const std::uint32_t first = first_suffix_[device * (space_.num_units() + std::size_t{1}) + prefix];
  return first > end ? first : 0;
}

std::uint16_t PathSearch::bare_after(const Label& from, std::uint32_t begin, std::uint32_t end) const {
  if (space_.min_devices <= 1) return 0;
  const bool bare = end <= space_.layers().begin || begin >= space_.layers().end;
  if (!bare) return from.bare;
  const bool is_closing = from.used == 0 && from.closing < space_.num_devices();
  return static_cast<std::uint16_t>(from.bare + (is_closing ? 3 : 2));
}

bool PathSearch::is_next_of_its_kind(std::uint64_t used, std::uint32_t v) const {
  return same_before_[v] == kNone || (used & bit_of(same_before_[v])) != 0;
}

}  // namespace shoal
