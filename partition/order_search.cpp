#include "partition/order_search.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace shoal {
namespace {

constexpr double kClearly = 1e-12;  // relative: less of a gain is rounding

}  // namespace

OrderSearch::OrderSearch(const SearchSpace& space)
    : space_(space), place_of_(space.problem().devices.size(), space.num_devices()) {
  for (std::uint32_t v = 0; v < space.num_devices(); ++v) place_of_[space.device(v)] = v;
}

SearchOutcome OrderSearch::best_cuts(const DeviceOrder& order) {
  SearchOutcome best;
  const std::uint32_t last_prefix = order.closes ? space_.num_units() - 1 : 0;
  for (std::uint32_t prefix = order.closes ? 1 : 0; prefix <= last_prefix; ++prefix) {
    const double value = fill(order, prefix, best.objective);
    if (value < best.objective) best = cuts(order, prefix, value);
  }
  return best;
}

SearchOutcome OrderSearch::improve(SearchOutcome plan, std::uint64_t work) {
  plan.complete = false;
  if (!plan.found()) return plan;
  const std::uint64_t limit = work_ + work;
  current_ = order_of(plan.stages);
  while (work_ < limit) {
    SearchOutcome cut = best_cuts(current_);
    if (cut.found() && cut.objective < plan.objective * (1 - kClearly)) {
      plan.stages = std::move(cut.stages);
      plan.objective = cut.objective;
    }
    prefix_ = plan.stages.front().units.end;
    best_cost_ = plan.objective * (1 - kClearly);
    best_.places.clear();
    try_changes();
    if (best_.places.empty()) break;
    current_ = best_;
  }
  return plan;
}

// The least over the given first stages of an order that closes.
double OrderSearch::evaluate(const DeviceOrder& order, Range prefixes, double give_up) {
  if (!order.closes) return fill(order, 0, give_up);
  double least = kNever;
  for (std::uint32_t prefix = prefixes.begin; prefix < prefixes.end; ++prefix)
    least = std::min(least, fill(order, prefix, std::min(give_up, least)));
  return least;
}

double OrderSearch::fill(const DeviceOrder& order, std::uint32_t prefix, double give_up) {
  const auto count = static_cast<std::uint32_t>(order.places.size());
  if (space_.exact_devices > 0 && count != space_.exact_devices) return kNever;
  if (count < space_.min_devices || count == 0) return kNever;
  counts_bare_ = space_.min_devices > 1;
  num_bare_ = counts_bare_ ? count - space_.min_devices + 1 : 1;
  if (order.closes && (count < 2 || prefix > space_.reach(order.places[0], 0))) return kNever;
  rows_.assign(count * std::size_t{num_bare_} * (space_.num_units() + std::size_t{1}), kNever);
  start_row(order.places[0], prefix, order.closes);
  for (std::size_t i = 1; i < count; ++i) {
    if (fill_row(i, order.places[i - 1], order.places[i]) >= give_up) return kNever;
  }
  return finish(order, prefix);
}

void OrderSearch::start_row(std::uint32_t v, std::uint32_t prefix, bool closes) {
  const std::uint32_t reach = space_.reach(v, 0);
  for (std::uint32_t end = closes ? prefix : 1; end <= (closes ? prefix : reach); ++end) {
    const std::uint32_t bare = !closes && is_bare(0, end) ? 1 : 0;
    if (bare < num_bare_)
      rows_[at(0, bare, end)] = space_.times().join(space_.entry(v), space_.stage(v, 0, end));
  }
}

// The least cost in the row.
double OrderSearch::fill_row(std::size_t row, std::uint32_t from, std::uint32_t to) {
  double least = kNever;
  for (std::uint32_t bare = 0; bare < num_bare_; ++bare) {
    for (std::uint32_t begin = 1; begin < space_.num_units(); ++begin) {
      const double before = rows_[at(row - 1, bare, begin)];
      if (before == kNever) continue;
      const double arrival = space_.times().join(before, space_.hop(from, to, begin));
      const std::uint32_t reach = space_.reach(to, begin);
      work_ += reach - begin + 1;
      if (arrival == kNever) continue;
      for (std::uint32_t end = begin + 1; end <= reach; ++end) {
        const std::uint32_t bare_after = bare + (is_bare(begin, end) ? 1 : 0);
        if (bare_after >= num_bare_) continue;
        double& known = rows_[at(row, bare_after, end)];
        known = std::min(known, space_.times().join(arrival, space_.stage(to, begin, end)));
        least = std::min(least, known);
      }
    }
  }
  return least;
}

double OrderSearch::finish(const DeviceOrder& order, std::uint32_t prefix) const {
  const std::size_t row = order.places.size() - 1;
  const std::uint32_t last = order.places.back();
  double least = kNever;
  for (std::uint32_t bare = 0; bare < num_bare_; ++bare) {
    if (!order.closes) {
      least =
          std::min(least, space_.times().join(rows_[at(row, bare, space_.num_units())], space_.exit(last)));
      continue;
    }
    const std::uint32_t first = order.places[0];
    for (std::uint32_t end = prefix + 1; end < space_.num_units(); ++end) {
      const double before = rows_[at(row, bare, end)];
      const bool first_is_bare = is_bare(0, prefix) && is_bare(end, space_.num_units());
      if (before == kNever || bare + (first_is_bare ? 1 : 0) >= num_bare_) continue;
      if (!space_.may_close(first, prefix, end)) continue;
      const double arrival = space_.times().join(before, space_.hop(last, first, end));
      least = std::min(least, space_.times().join(arrival, space_.closing(first, prefix, end)));
    }
  }
  return least;
}

// Reads the tables that fill() left backwards: which cuts gave `value`.
SearchOutcome OrderSearch::cuts(const DeviceOrder& order, std::uint32_t prefix, double value) {
  const std::uint32_t num_units = space_.num_units();
  const auto join = [&](double a, double b) { return space_.times().join(a, b); };
  SearchOutcome plan;
  plan.objective = value;
  std::uint32_t end = num_units, bare = num_bare_;
  const std::size_t last_row = order.places.size() - 1;
  for (std::uint32_t b = 0; b < num_bare_ && bare == num_bare_; ++b) {
    if (!order.closes) {
      if (join(rows_[at(last_row, b, num_units)], space_.exit(order.places.back())) == value) bare = b;
      continue;
    }
    const std::uint32_t first = order.places[0];
    for (std::uint32_t e = prefix + 1; e < num_units && bare == num_bare_; ++e) {
      if (rows_[at(last_row, b, e)] == kNever || !space_.may_close(first, prefix, e)) continue;
      if (b + (is_bare(0, prefix) && is_bare(e, num_units) ? 1 : 0) >= num_bare_) continue;
      const double arrival = join(rows_[at(last_row, b, e)], space_.hop(order.places.back(), first, e));
      if (join(arrival, space_.closing(first, prefix, e)) == value) bare = b, end = e;
    }
  }
  SHOAL_CHECK(bare < num_bare_);
  if (order.closes) plan.stages.push_back({space_.device(order.places[0]), {end, num_units}});
  for (std::size_t row = last_row; row > 0; --row) {
    const std::uint32_t from = order.places[row - 1], to = order.places[row];
    const double cost = rows_[at(row, bare, end)];
    std::uint32_t begin = end;
    for (std::uint32_t b = 1; b < end && begin == end; ++b) {
      const std::uint32_t bare_here = is_bare(b, end) ? 1 : 0;
      if (bare_here > bare || space_.reach(to, b) < end) continue;
      const double before = rows_[at(row - 1, bare - bare_here, b)];
      if (before == kNever || join(join(before, space_.hop(from, to, b)), space_.stage(to, b, end)) != cost)
        continue;
      begin = b;
      bare -= bare_here;
    }
    SHOAL_CHECK(begin < end);
    plan.stages.push_back({space_.device(to), {begin, end}});
    end = begin;
  }
  plan.stages.push_back({space_.device(order.places[0]), {0, end}});
  std::reverse(plan.stages.begin(), plan.stages.end());
  return plan;
}

DeviceOrder OrderSearch::order_of(const std::vector<PlannedStage>& stages) const {
  DeviceOrder order;
  for (const PlannedStage& stage : stages) order.places.push_back(place_of_[stage.device]);
  order.closes = stages.size() > 1 && stages.front().device == stages.back().device;
  if (order.closes) order.places.pop_back();
  for (const std::uint32_t v : order.places) SHOAL_CHECK(v < space_.num_devices());
  return order;
}

void OrderSearch::consider(DeviceOrder order) {
  if (order.closes && !space_.may_close_ring(order.places[0])) return;
  const bool closes_anew = order.closes && !current_.closes;
  const Range prefixes = closes_anew ? Range{1, space_.num_units()} : Range{prefix_, prefix_ + 1};
  const double cost = evaluate(order, prefixes, best_cost_);
  if (cost >= best_cost_) return;
  best_cost_ = cost * (1 - kClearly);
  best_ = std::move(order);
}

void OrderSearch::try_changes() {
  std::vector<bool> is_used(space_.num_devices(), false);
  for (const std::uint32_t v : current_.places) is_used[v] = true;
  std::vector<std::uint32_t> others;
  for (std::uint32_t v = 0; v < space_.num_devices(); ++v) {
    if (!is_used[v]) others.push_back(v);
  }
  for (std::size_t i = 0; i <= current_.places.size(); ++i) try_changes_at(i, others);
  DeviceOrder turned = current_;
  turned.closes = !turned.closes;
  if (space_.any_ring()) consider(std::move(turned));
}

void OrderSearch::try_changes_at(std::size_t i, const std::vector<std::uint32_t>& others) {
  const auto place = static_cast<std::ptrdiff_t>(i);
  const auto changed = [&](auto change) {
    DeviceOrder order = current_;
    change(order.places);
    if (!order.places.empty()) consider(std::move(order));
  };
  for (const std::uint32_t v : others) {
    changed([&](auto& places) { places.insert(places.begin() + place, v); });
    if (i < current_.places.size()) changed([&](auto& places) { places[i] = v; });
  }
  if (i == current_.places.size()) return;
  changed([&](auto& places) { places.erase(places.begin() + place); });
  for (std::size_t j = 0; j < current_.places.size(); ++j) {
    const auto other = static_cast<std::ptrdiff_t>(j);
    if (j != i && j != i + 1) {  // next to each other is an exchange
      changed([&](auto& places) {
        const std::uint32_t v = places[i];
        places.erase(places.begin() + place);
        places.insert(places.begin() + other, v);
      });
    }
    if (j <= i) continue;
    changed([&](auto& places) { std::swap(places[i], places[j]); });
    if (j > i + 2)
      changed([&](auto& places) { std::reverse(places.begin() + place, places.begin() + other + 1); });
  }
}

}  // namespace shoal
