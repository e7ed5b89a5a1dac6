#include "partition/uniform_search.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>

#include "base/check.h"

namespace shoal {
namespace {

bool same_shape(const UnitShape& a, const UnitShape& b) {
  return a.weight_bytes == b.weight_bytes && a.tied_group == 0 && b.tied_group == 0 &&
         a.kv_bytes == b.kv_bytes && a.output_bytes == b.output_bytes;
}

bool same_cost(const UnitCost& a, const UnitCost& b) {
  return a.decode == b.decode && a.batch32 == b.batch32 && a.per_1k_context == b.per_1k_context;
}

// Is no device barred from one layer and not from another, and is what it would have to load the same for
// each?
bool has_uniform_rules(const PlanProblem& problem) {
  const PlacementRules rules(problem);
  const auto head = static_cast<std::uint32_t>(problem.units.size()) - 1;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    const bool may_run_first = rules.may_run(v, {1, 2});
    for (std::uint32_t u = 1; u < head; ++u) {
      if (rules.may_run(v, {u, u + 1}) != may_run_first) return false;
      if (problem.expected_tokens > 0 && load_seconds(problem, v, u) != load_seconds(problem, v, 1))
        return false;
    }
  }
  return true;
}

// What a device does besides layers.
enum Role : std::uint32_t { kMiddle, kFirst, kLast, kBoth, kNumRoles };

// One device of a subset in a given role: seconds = fixed + layers * per_layer, at most `most` layers (-1:
// not at all).
struct Capacity {
  double fixed = 0;
  double per_layer = 0;
  int most = -1;
};

class UniformSearch {
 public:
  UniformSearch(const std::vector<const SearchSpace*>& spaces, const SearchOutcome& incumbent)
      : spaces_(spaces), any_(*spaces.back()), num_devices_(any_.num_devices()), best_(incumbent) {
    num_layers_ = static_cast<int>(any_.num_units()) - 2;
    for (std::size_t n = 1; n < spaces.size(); ++n) capacities_.push_back(capacities(*spaces[n]));
    for (std::uint32_t u = 0; u < num_devices_; ++u) {
      for (std::uint32_t w = 0; w < num_devices_; ++w) hops_.push_back(any_.hop(u, w, 1));
    }
  }

  SearchOutcome run() {
    for (std::uint32_t first = 0; first < num_devices_; ++first) {
      try_alone(first);
      find_orders(first);
      for (std::uint32_t used = 0; used < orders_size_; ++used) try_subset(first, used);
    }
    best_.complete = true;
    return best_;
  }

 private:
  // Of every device in every role, for plans whose times are the space's.
  std::vector<Capacity> capacities(const SearchSpace& space) const {
    std::vector<Capacity> all(num_devices_ * kNumRoles);
    const std::uint32_t end = space.num_units();
    for (std::uint32_t v = 0; v < num_devices_; ++v) {
      const double overhead = space.stage(v, 0, 0);
      const double embedding = space.stage(v, 0, 1) - overhead;
      const double head = space.stage(v, end - 1, end) - overhead;
      const double layer = space.stage(v, 1, 2) - overhead;
      Capacity* of = &all[v * kNumRoles];
      of[kMiddle] = {overhead, layer, static_cast<int>(std::min(space.reach(v, 1), end - 1)) - 1};
      of[kFirst] = {overhead + embedding, layer, static_cast<int>(std::min(space.reach(v, 0), end - 1)) - 1};
      of[kLast] = {overhead + head, layer, -1};
      of[kBoth] = {2 * overhead + embedding + head, layer, -1};
      for (int n = 0; n <= num_layers_; ++n) {
        const auto u = static_cast<std::uint32_t>(n);
        if (space.reach(v, end - 1 - u) == end) of[kLast].most = n;
        if (space.may_close(v, 1 + u, end - 1)) of[kBoth].most = n;
      }
    }
    return all;
  }

  // orders_[used][last]: cheapest entry and hops from `first` through the other devices in `used` to `last`.
  void find_orders(std::uint32_t first) {
    orders_size_ = 1u << num_devices_;
    orders_.assign(std::size_t{orders_size_} * num_devices_, kNever);
    before_.assign(orders_.size(), 0);
    orders_[(1u << first) * num_devices_ + first] = any_.entry(first);
    for (std::uint32_t used = 1u << first; used < orders_size_; ++used) {
      if ((used >> first & 1) == 0) continue;
      for (std::uint32_t last = 0; last < num_devices_; ++last) {
        const double cost = orders_[used * num_devices_ + last];
        if (cost != kNever && !hopeless(cost)) extend_order(used, last, cost);
      }
    }
  }

  void extend_order(std::uint32_t used, std::uint32_t last, double cost) {
    for (std::uint32_t w = 0; w < num_devices_; ++w) {
      if (used >> w & 1) continue;
      const double next = any_.times().join(cost, hops_[last * num_devices_ + w]);
      const std::size_t place = (used | 1u << w) * std::size_t{num_devices_} + w;
      if (next < orders_[place]) {
        orders_[place] = next;
        before_[place] = static_cast<std::uint8_t>(last);
      }
    }
  }

  void try_alone(std::uint32_t v) {
    const SearchSpace& space = *spaces_[1];
    if (space.exact_devices > 1 || space.min_devices > 1 || space.reach(v, 0) < space.num_units()) return;
    const double stage = space.stage(v, 0, space.num_units());
    accept(space.times().join(space.times().join(space.entry(v), stage), space.exit(v)),
           {{space.device(v), {0, space.num_units()}}});
  }

  void try_subset(std::uint32_t first, std::uint32_t used) {
    const auto size = static_cast<std::uint32_t>(std::popcount(used));
    if ((used >> first & 1) == 0 || size < 2 || size >= spaces_.size()) return;
    const SearchSpace& space = *spaces_[size];
    if (space.exact_devices > 0 && space.exact_devices != size) return;
    if (size < space.min_devices) return;
    const double least_compute = least_seconds(used, first);
    if (hopeless(least_compute)) return;
    for (std::uint32_t last = 0; last < num_devices_; ++last) {
      const double order = orders_[used * num_devices_ + last];
      if (last == first || order == kNever || hopeless(space.times().join(order, least_compute))) continue;
      const double way_out = space.times().join(order, space.exit(last));
      try_ends(used, first, last, way_out, false);
      if (!space.may_close_ring(first)) continue;
      const double way_back = space.times().join(
          space.times().join(order, hops_[last * num_devices_ + first]), space.exit(first));
      try_ends(used, first, last, way_back, true);
    }
  }

  // No division of the layers over the subset computes sooner, wherever it ends; kNever if they cannot hold
  // them.
  double least_seconds(std::uint32_t used, std::uint32_t first) const {
    const auto size = static_cast<std::size_t>(std::popcount(used));
    const bool sums = any_.times().sums();
    double fixed = 0;
    double least_head = kNever;
    double least_layer = kNever;
    double layers_held = 0;
    for (std::uint32_t v = 0; v < num_devices_; ++v) {
      if ((used >> v & 1) == 0) continue;
      const Capacity* of = &capacities_[size - 1][v * kNumRoles];
      fixed += of[v == first ? kFirst : kMiddle].fixed;
      least_head = std::min(least_head, of[kLast].fixed - of[kMiddle].fixed);
      least_layer = std::min(least_layer, of[kMiddle].per_layer);
      double most = std::max({of[kMiddle].most, of[kFirst].most, of[kLast].most, 0});
      if (!sums && best_.found() && of[kMiddle].per_layer > 0) {
        most = std::min(most,
                        std::max(0.0, (best_.objective - of[kMiddle].fixed) / of[kMiddle].per_layer + 1e-6));
      }
      layers_held += most;
    }
    if (layers_held < num_layers_) return kNever;
    return sums ? fixed + least_head + num_layers_ * least_layer : 0;
  }

  // An end device may hold no layer; where min_devices needs every one of them, some must.
  void try_ends(std::uint32_t used, std::uint32_t first, std::uint32_t last, double links, bool closes) {
    const auto size = static_cast<std::uint32_t>(std::popcount(used));
    const std::uint32_t spare = size - std::min(size, spaces_[size]->min_devices);
    if (closes) {
      try_fill(used, first, last, links, closes, spare >= 1 ? 0 : 1, 1);
      return;
    }
    for (int at_first = 0; at_first <= 1; ++at_first) {
      const int at_last = std::max(0, 2 - at_first - static_cast<int>(spare));
      if (at_last <= 1) try_fill(used, first, last, links, closes, at_first, at_last);
      if (spare >= 2) return;
    }
  }

  void try_fill(std::uint32_t used, std::uint32_t first, std::uint32_t last, double links, bool closes,
                int at_first, int at_last) {
    const auto size = static_cast<std::uint32_t>(std::popcount(used));
    const std::vector<Capacity>& capacity = capacities_[size - 1];
    members_.clear();
    int rest = num_layers_;
    for (std::uint32_t v = 0; v < num_devices_; ++v) {
      if ((used >> v & 1) == 0) continue;
      const Role role = v == first ? (closes ? kBoth : kFirst) : (v == last && !closes ? kLast : kMiddle);
      const int least = v == first ? at_first : (v == last && !closes ? at_last : 1);
      const Capacity& of = capacity[v * kNumRoles + role];
      if (of.most < least) return;
      members_.push_back({v, of, least});
      rest -= least;
    }
    if (rest < 0) return;
    const std::optional<double> seconds =
        spaces_[size]->times().sums() ? fill_cheapest(rest, links) : fill_level(rest, links);
    if (seconds && !hopeless(*seconds)) accept(*seconds, stages(used, first, last, closes));
  }

  struct Member {
    std::uint32_t device;
    Capacity capacity;
    int layers;
    double seconds() const { return capacity.fixed + layers * capacity.per_layer; }
  };

  // Least sum: the rest goes to the cheapest per layer.
  std::optional<double> fill_cheapest(int rest, double links) {
    double total = links;
    for (const Member& member : members_) total += member.seconds();
    if (hopeless(total)) return std::nullopt;
    by_cost_.resize(members_.size());
    std::iota(by_cost_.begin(), by_cost_.end(), std::size_t{0});
    std::stable_sort(by_cost_.begin(), by_cost_.end(), [&](std::size_t a, std::size_t b) {
      return members_[a].capacity.per_layer < members_[b].capacity.per_layer;
    });
    for (const std::size_t i : by_cost_) {
      Member& member = members_[i];
      const int more = std::min(rest, member.capacity.most - member.layers);
      member.layers += more;
      rest -= more;
      total += more * member.capacity.per_layer;
      if (rest == 0) return total;
    }
    return std::nullopt;
  }

  // Least maximum: each layer to the device that it leaves the least busy.
  std::optional<double> fill_level(int rest, double links) {
    double most = links;
    for (const Member& member : members_) most = std::max(most, member.seconds());
    if (hopeless(most) || !fits_below_best(rest)) return std::nullopt;
    for (; rest > 0; --rest) {
      Member* least = nullptr;
      double least_after = kNever;
      for (Member& member : members_) {
        const double after = member.seconds() + member.capacity.per_layer;
        if (member.layers < member.capacity.most && after < least_after) {
          least = &member;
          least_after = after;
        }
      }
      if (!least) return std::nullopt;
      ++least->layers;
      most = std::max(most, least_after);
    }
    return most;
  }

  // A count that spares most subsets the fill: how many layers could each take and stay below the incumbent?
  bool fits_below_best(int rest) const {
    if (!best_.found()) return true;
    for (const Member& member : members_) {
      int more = member.capacity.most - member.layers;
      if (member.capacity.per_layer > 0) {
        const double below = (best_.objective - member.seconds()) / member.capacity.per_layer;
        more = std::min(more, static_cast<int>(std::min(below + 1e-6, 1e6)));
      }
      rest -= std::max(0, more);
    }
    return rest <= 0;
  }

  // The members' layers in the order found. A first device that closes takes all its layers at the start.
  std::vector<PlannedStage> stages(std::uint32_t used, std::uint32_t first, std::uint32_t last,
                                   bool closes) const {
    std::vector<std::uint32_t> order;
    for (std::uint32_t v = last;; v = before_[used * num_devices_ + v], used &= ~(1u << order.back())) {
      order.push_back(v);
      if (v == first) break;
    }
    return lay_out(order, closes);
  }

  std::vector<PlannedStage> lay_out(const std::vector<std::uint32_t>& backwards, bool closes) const {
    const std::uint32_t end = any_.num_units();
    std::vector<PlannedStage> result;
    std::uint32_t next = 0;
    for (std::size_t i = backwards.size(); i-- > 0;) {
      const auto member = std::find_if(members_.begin(), members_.end(),
                                       [&](const Member& m) { return m.device == backwards[i]; });
      std::uint32_t stop = next + static_cast<std::uint32_t>(member->layers) + (next == 0 ? 1 : 0);
      if (i == 0 && !closes) stop = end;
      result.push_back({any_.device(backwards[i]), {next, stop}});
      next = stop;
    }
    if (closes) result.push_back({any_.device(backwards.back()), {next, end}});
    return result;
  }

  bool hopeless(double cost) const {
    if (!best_.found()) return cost == kNever;
    return any_.times().sums() ? cost > best_.objective * (1 + 1e-12) : cost >= best_.objective * (1 - 1e-12);
  }

  void accept(double cost, std::vector<PlannedStage> plan) {
    SearchOutcome found;
    found.stages = std::move(plan);
    found.objective = cost;
    if (!hopeless(cost) && better(found, best_)) best_ = std::move(found);
  }

  const std::vector<const SearchSpace*>& spaces_;
  const SearchSpace& any_;
  std::uint32_t num_devices_;
  int num_layers_ = 0;
  std::vector<std::vector<Capacity>> capacities_;  // [devices in the plan - 1][device * kNumRoles + role]
  std::vector<double> hops_;                       // [from][to], the same after every unit
  std::uint32_t orders_size_ = 0;
  std::vector<double> orders_;
  std::vector<std::uint8_t> before_;
  std::vector<Member> members_;
  std::vector<std::size_t> by_cost_;
  SearchOutcome best_;
};

}  // namespace

bool has_uniform_layers(const PlanProblem& problem) {
  const std::size_t num_units = problem.units.size();
  if (num_units < 3 || !has_uniform_rules(problem)) return false;
  if (!(layers_of(problem) == Range{1, static_cast<std::uint32_t>(num_units) - 1})) return false;
  if (problem.units.front().output_bytes != problem.units[1].output_bytes) return false;
  for (std::size_t u = 2; u + 1 < num_units; ++u) {
    if (!same_shape(problem.units[1], problem.units[u])) return false;
    for (const DeviceProfile& device : problem.devices) {
      if (!same_cost(device.units[1], device.units[u])) return false;
    }
  }
  return problem.units[1].tied_group == 0;
}

SearchOutcome uniform_search(const std::vector<const SearchSpace*>& spaces, const SearchOutcome& incumbent) {
  SHOAL_CHECK(spaces.size() > 1 && spaces.back()->num_devices() <= kMaxUniformDevices);
  return UniformSearch(spaces, incumbent).run();
}

}  // namespace shoal
