# Debian 12's packages. A missing one is named with the command that brings it.

find_package(PkgConfig)
find_package(Threads REQUIRED)

function(shoal_missing package)
  message(FATAL_ERROR "Shoal needs ${package}, which is not installed.\n"
    "  Install it:      apt-get install ${package}\n"
    "  Or everything:   scripts/install-packages")
endfunction()

if(NOT PkgConfig_FOUND)
  shoal_missing(pkg-config)
endif()

# shoal_require_pkg(TARGET PKG_CONFIG_NAME DEBIAN_PACKAGE) makes the imported target PkgConfig::TARGET.
macro(shoal_require_pkg target module package)
  pkg_check_modules(${target} QUIET IMPORTED_TARGET ${module})
  if(NOT ${target}_FOUND)
    shoal_missing(${package})
  endif()
endmacro()

# shoal_require_header(VARIABLE HEADER DEBIAN_PACKAGE)
macro(shoal_require_header variable header package)
  find_path(${variable} ${header})
  if(NOT ${variable})
    shoal_missing(${package})
  endif()
endmacro()

shoal_require_pkg(zmq libzmq libzmq3-dev)
shoal_require_header(CPPZMQ_INCLUDE zmq.hpp cppzmq-dev)
shoal_require_header(FLATBUFFERS_INCLUDE flatbuffers/flatbuffers.h libflatbuffers-dev)
find_program(FLATC flatc)
if(NOT FLATC)
  shoal_missing(flatbuffers-compiler)
endif()
shoal_require_pkg(eigen eigen3 libeigen3-dev)
shoal_require_header(DOCTEST_INCLUDE doctest/doctest.h doctest-dev)
shoal_require_pkg(spdlog spdlog libspdlog-dev)
shoal_require_pkg(sodium libsodium libsodium-dev)
shoal_require_pkg(hwloc hwloc libhwloc-dev)
if(SHOAL_DEVICE_ONLY)
  return()
endif()

shoal_require_header(BOOST_INCLUDE boost/beast.hpp libboost1.81-dev)
shoal_require_header(NLOHMANN_INCLUDE nlohmann/json.hpp nlohmann-json3-dev)
shoal_require_pkg(yaml yaml-cpp libyaml-cpp-dev)
shoal_require_header(CLI11_INCLUDE CLI/CLI.hpp libcli11-dev)
shoal_require_pkg(pcre2 libpcre2-8 libpcre2-dev)
shoal_require_pkg(sqlite3 sqlite3 libsqlite3-dev)
shoal_require_pkg(libzip libzip libzip-dev)
shoal_require_pkg(curl libcurl libcurl4-openssl-dev)
