#include "lab/link.h"

#include <algorithm>
#include <charconv>

#include "base/quantity.h"

namespace shoal {
namespace {

std::optional<double> parse_chance(const std::string& text) {
  double chance = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), chance);
  const bool is_one = error == std::errc() && end == text.data() + text.size() && chance >= 0 && chance <= 1;
  return is_one ? std::optional(chance) : std::nullopt;
}

Failure refuse(const std::string& option, const char* example) {
  return fail(ErrorCode::InvalidArgument, "\"" + option + "\" is no link option: " + example);
}

}  // namespace

Status apply_option(LabLink& link, const std::string& option) {
  const std::size_t equals = option.find('=');
  const std::string key = option.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
  for (const auto& [name, time] : {std::pair("delay", &link.delay), std::pair("jitter", &link.jitter),
                                   std::pair("queue", &link.queue)}) {
    if (key != name) continue;
    const std::optional<double> seconds = parse_seconds(value);
    if (!seconds || *seconds > 3600) return refuse(option, "a time is written like 2ms");
    *time = from_seconds(*seconds);
    return {};
  }
  if (key == "rate") {
    const std::optional<double> rate = parse_bytes_per_second(value);
    if (!rate) return refuse(option, "a rate is written like 100mbit");
    link.bytes_per_second = *rate;
    return {};
  }
  if (key != "loss") return refuse(option, "there are delay, jitter, rate, loss and queue");
  const std::optional<double> loss = parse_chance(value);
  if (!loss) return refuse(option, "a chance is a number from 0 to 1");
  link.loss = *loss;
  return {};
}

Status apply_options(LabLink& link, const std::vector<std::string>& options) {
  LabLink changed = link;
  for (const std::string& option : options) {
    if (Status applied = apply_option(changed, option); !applied) return applied;
  }
  link = changed;
  return {};
}

std::optional<Time> pass(const LabLink& link, LabWire& wire, std::size_t bytes, Time now, double random) {
  const Time free_at = std::max(wire.free_at, now);
  if (free_at - now > link.queue) return std::nullopt;
  wire.free_at = free_at;
  if (link.bytes_per_second > 0)
    wire.free_at += from_seconds(static_cast<double>(bytes) / link.bytes_per_second);
  const Time arrival = wire.free_at + link.delay + from_seconds(seconds(link.jitter) * random);
  wire.last_arrival = std::max(arrival, wire.last_arrival);
  return wire.last_arrival;
}

}  // namespace shoal
