#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace shoal {

// Where a lab that is up takes commands: a datagram socket in /tmp. One lab at a time on a machine.
class ControlSocket {
 public:
  static Result<ControlSocket> listen();
  ~ControlSocket();
  ControlSocket(ControlSocket&& other) noexcept;
  ControlSocket& operator=(ControlSocket&&) = delete;

  int descriptor() const { return descriptor_; }
  // Reads one command, if one is there, and sends what `carry_out` says of it back.
  void answer(const std::function<std::string(const std::string&)>& carry_out) const;

 private:
  explicit ControlSocket(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// Says a command to the lab that is up and returns its reply. Unavailable: none is.
Result<std::string> say_to_lab(const std::string& command);

// Held by the lab that is up, until the process ends. Unavailable: another one is. `wait`: until it has gone.
Status lock_lab(bool wait);

}  // namespace shoal
