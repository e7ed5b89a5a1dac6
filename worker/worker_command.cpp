#include "worker/worker_command.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>

#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "base/file_limit.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/quantity.h"
#include "kernels/kernel_table.h"
#include "transport/limits.h"
#include "worker/emulated_speed.h"
#include "worker/joining.h"
#include "worker/worker_process.h"

namespace shoal {
namespace {

std::atomic<bool> g_stop{false};

constexpr char kHelp[] =
    "Runs this device's worker: joins a hub, fetches the layers it is given, computes them.\n"
    "When the hub stops it keeps them and looks for the hub again; Ctrl-C or SIGTERM ends it.\n"
    "\n"
    "Usage: %s --hub HOST:PORT (--token TOKEN | --token-file FILE) [options]\n"
    "\n"
    "  --hub HOST:PORT      the coordinator's join port (it prints it; 7171 unless chosen)\n"
    "  --token TOKEN        the hub's join token, or in the environment: SHOAL_TOKEN\n"
    "  --token-file FILE    a file that holds it\n"
    "  --name NAME          what people call this device       (default: the host's name)\n"
    "  --state DIR          key and layers are kept here       (default: ~/.local/state/shoal/worker)\n"
    "  --listen HOST        address neighbours send to         (default: the one towards the hub)\n"
    "  --memory SIZE        memory to give: 512M, 2G           (default: 85 %% of what is free)\n"
    "  --threads N          compute threads                    (default: every core)\n"
    "  --kernels NAME       scalar, avx2, avxvnni, avx512, amx, neon (default: the fastest that runs here)\n"
    "  --emulate-speed X    work X times as fast as this device can (0.01 to 1), to try clusters out on one "
    "machine\n"
    "  --log LEVEL          debug, info, warn, error           (default: info)\n"
    "  --help               this text\n"
    "\n"
    "Example: %s --hub 192.168.1.10:7171 --token-file join.token --name camera-3\n";

void on_signal(int) { g_stop = true; }

int misuse(const std::string& what) {
  std::fprintf(stderr, "shoal worker: %s\nTry --help.\n", what.c_str());
  return 2;
}

std::string default_state_directory() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state)
    return std::string(state) + "/shoal/worker";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : ".") + "/.local/state/shoal/worker";
}

std::optional<LogLevel> parse_log_level(const std::string& text) {
  for (const LogLevel level :
       {LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Off}) {
    if (text == name_of(level)) return level;
  }
  return std::nullopt;
}

Result<std::string> first_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line))
    return fail(ErrorCode::NotFound, "the token file " + path + " cannot be read");
  return line;
}

enum Option {
  kHub = 1,
  kToken,
  kTokenFile,
  kName,
  kState,
  kListen,
  kMemory,
  kThreads,
  kKernels,
  kEmulateSpeed,
  kLog,
  kShowHelp
};

constexpr option kOptions[] = {{"hub", required_argument, nullptr, kHub},
                               {"token", required_argument, nullptr, kToken},
                               {"token-file", required_argument, nullptr, kTokenFile},
                               {"name", required_argument, nullptr, kName},
                               {"state", required_argument, nullptr, kState},
                               {"listen", required_argument, nullptr, kListen},
                               {"memory", required_argument, nullptr, kMemory},
                               {"threads", required_argument, nullptr, kThreads},
                               {"kernels", required_argument, nullptr, kKernels},
                               {"emulate-speed", required_argument, nullptr, kEmulateSpeed},
                               {"log", required_argument, nullptr, kLog},
                               {"help", no_argument, nullptr, kShowHelp},
                               {nullptr, 0, nullptr, 0}};

struct Arguments {
  WorkerOptions options;
  std::string token;
  std::string token_file;
  bool help = false;
};

// Where an option goes whose value is any text; null for the others.
std::string* text_option(int option, Arguments& arguments) {
  WorkerOptions& options = arguments.options;
  switch (option) {
    case kHub:
      return &options.hub;
    case kToken:
      return &arguments.token;
    case kTokenFile:
      return &arguments.token_file;
    case kName:
      return &options.name;
    case kState:
      return &options.state_directory;
    case kListen:
      return &options.listen_host;
    case kKernels:
      return &options.kernels;
    default:
      return nullptr;
  }
}

// Empty if the option's value makes sense.
std::string take_option(int option, const std::string& value, Arguments& arguments) {
  if (std::string* text = text_option(option, arguments)) {
    *text = value;
    return "";
  }
  WorkerOptions& options = arguments.options;
  switch (option) {
    case kMemory: {
      const std::optional<std::uint64_t> size = parse_memory_size(value);
      if (!size) return "--memory \"" + value + "\" is not " + kMemorySizeWords;
      options.memory_bytes = *size;
      return "";
    }
    case kThreads: {
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), options.num_threads);
      const bool ok = error == std::errc() && end == value.data() + value.size() &&
                      options.num_threads >= 1 && options.num_threads <= kMaxThreads;
      return ok ? ""
                : "--threads \"" + value + "\" is no number between 1 and " + std::to_string(kMaxThreads);
    }
    case kEmulateSpeed: {
      const auto [end, error] =
          std::from_chars(value.data(), value.data() + value.size(), options.emulated_speed);
      const bool ok = error == std::errc() && end == value.data() + value.size() &&
                      options.emulated_speed >= EmulatedSpeed::kSlowest && options.emulated_speed <= 1;
      return ok ? "" : "--emulate-speed \"" + value + "\" is no number from 0.01 to 1";
    }
    case kLog: {
      const std::optional<LogLevel> level = parse_log_level(value);
      if (!level) return "--log \"" + value + "\" is none of debug, info, warn, error, off";
      set_log_level(*level);
      return "";
    }
    default:
      return "unknown option";
  }
}

Result<JoinToken> token_of(const Arguments& arguments) {
  std::string text = arguments.token;
  if (text.empty() && !arguments.token_file.empty()) {
    Result<std::string> line = first_line_of(arguments.token_file);
    if (!line) return fail(line.error());
    text = *std::move(line);
  }
  if (const char* environment = std::getenv("SHOAL_TOKEN"); text.empty() && environment) text = environment;
  if (text.empty())
    return fail(ErrorCode::InvalidArgument,
                "a join token is needed: --token, --token-file or SHOAL_TOKEN (the coordinator prints it)");
  return parse_join_token(text);
}

// What can be told before anything is opened.
std::string find_fault(const WorkerOptions& options) {
  if (options.hub.empty()) return "--hub HOST:PORT is needed";
  if (const Result<Endpoint> hub = parse_hub_address(options.hub); !hub)
    return "--hub: " + hub.error().message();
  if (options.name.size() > kMaxNameBytes || options.name != printable(options.name, kMaxNameBytes)) {
    return "--name is longer than " + std::to_string(kMaxNameBytes) + " bytes or not printable";
  }
  if (const Result<const KernelTable*> kernels = choose_kernels(options.kernels); !kernels)
    return "--kernels: " + kernels.error().message();
  return "";
}

// A device has little memory, and the plan counts every byte: two heaps for all threads, and large blocks go
// back to the system when freed.
void keep_memory_small() {
  constexpr int kLargeBlock = 1 << 20;
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kLargeBlock);
}

}  // namespace

int worker_command(int argc, char** argv) {
  Arguments arguments;
  arguments.options.state_directory = default_state_directory();
  ::optind = 1;
  ::opterr = 0;
  for (int option = 0; (option = ::getopt_long(argc, argv, "h", kOptions, nullptr)) != -1;) {
    if (option == kShowHelp || option == 'h') {
      std::printf(kHelp, argv[0], argv[0]);
      return 0;
    }
    if (option == '?') return misuse(std::string("unknown option or missing value: ") + argv[::optind - 1]);
    if (const std::string fault = take_option(option, ::optarg, arguments); !fault.empty())
      return misuse(fault);
  }
  if (::optind < argc) return misuse(std::string("unexpected argument: ") + argv[::optind]);
  if (const std::string fault = find_fault(arguments.options); !fault.empty()) return misuse(fault);
  Result<JoinToken> token = token_of(arguments);
  if (!token) return misuse(token.error().message());
  arguments.options.token = *std::move(token);
  keep_memory_small();
  (void)raise_file_limit();

  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is a full disk like any other: told to the hub
  const Status ran = run_worker(std::move(arguments.options), g_stop);
  if (ran) return 0;
  std::fprintf(stderr, "shoal worker: %s\n", ran.error().message().c_str());
  return 1;
}

}  // namespace shoal
