#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "kernels/amx/kernels.h"
#include "kernels/avx2/kernels.h"
#include "kernels/avx512/kernels.h"
#include "kernels/native.h"

namespace shoal {
namespace {

enum class Register : std::uint8_t { Eax, Ebx, Ecx, Edx };

// CPUID's bit itself, for what not every compiler has a name for. Whether the kernel saves the registers is
// asked with "avx2", and by may_use_tile_data().
bool has_feature(unsigned leaf, unsigned subleaf, Register where, unsigned bit) {
  unsigned words[4] = {};
  if (__get_cpuid_count(leaf, subleaf, &words[0], &words[1], &words[2], &words[3]) == 0) return false;
  return (words[static_cast<std::size_t>(where)] >> bit & 1u) != 0;
}

// __builtin_cpu_supports asks CPUID and also XCR0: whether the kernel saves the registers at all.
bool runs_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         has_feature(1, 0, Register::Ecx, 29);  // F16C
}

bool runs_avx_vnni() { return runs_avx2() && has_feature(7, 1, Register::Eax, 4); }

bool runs_avx512() {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

// Tile data are 8 KiB of state a thread, so Linux makes a process ask for them, once and for all its threads.
// It refuses where an alternate signal stack is too small to save them on (and, before 5.16, always).
bool may_use_tile_data() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}

bool runs_amx() {
  const bool has_int8_tiles = has_feature(7, 0, Register::Edx, 24) && has_feature(7, 0, Register::Edx, 25);
  return runs_avx512() && has_int8_tiles && may_use_tile_data();
}

}  // namespace

std::vector<const KernelTable*> native_kernels() {
  __builtin_cpu_init();
  std::vector<const KernelTable*> tables;
  if (runs_avx2()) tables.push_back(&avx2::table());
  if (runs_avx_vnni()) tables.push_back(&avx2::vnni_table());
  if (runs_avx512()) tables.push_back(&avx512::table());
  if (runs_amx()) tables.push_back(&amx::table());
  return tables;
}

}  // namespace shoal
